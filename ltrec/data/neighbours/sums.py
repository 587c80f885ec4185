"""Pairs -> their sums, in bounded memory. The weights are integers, so the result depends neither on the order of the pairs nor on
what is spilled to disk.

Pairs are collected, and from time to time sorted and summed. If there are too many sums, they are spilled as a *run*: sorted, in an
unnamed Parquet file, which disappears with the process. Many runs are merged into one. At the end, ranges of items are read from
all runs in parallel, each run once and in order.

    memory    about 72 bytes x (rows + the sums of one item, at most V) + 16 bytes x V + 1 MB x runs (MOST_RUNS at most)
    disk      3 bytes per pair on a Zipf log, at most 16, and twice that while runs are merged;
              pairs <= 2 x events x max_gap without ties; a few times as many with them
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core.ragged import prefix_sums, ranges_of_at_most
from ltrec.data.neighbours.ties import I64

ROWS = 1 << 22
MOST_RUNS = 128
RUN_PAGE = 1 << 14
_ROW_GROUP = 1 << 16
_KEY, _SUM = "key", "sum"
_SCHEMA = pa.schema([pa.field(name, pa.int64(), nullable=False) for name in (_KEY, _SUM)])

Sums = tuple[I64, I64]
"""Distinct sorted keys, and the sum of each."""


class PairSums:
    """Sums of weights by (item, neighbour); use it as a context manager.

    Args:
        num_items: V; ids are 1..V.
        folder: where runs are spilled; None = the system's temporary folder.
        rows: number of pairs held in memory.
    """

    def __init__(self, num_items: int, folder: Path | None = None, rows: int = ROWS) -> None:
        self._width, self._folder, self._rows = num_items + 1, folder, rows
        self._held: list[Sums] = []
        self._count = 0
        self._files = ExitStack()
        self._runs: list[IO[bytes]] = []
        self._per_item = np.zeros(0, np.int64)

    def __enter__(self) -> PairSums:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    @property
    def run_bytes(self) -> list[int]:
        """Size of every run on disk."""
        return [run.seek(0, 2) for run in self._runs]

    def add(self, item: I64, neighbour: I64, weight: I64) -> None:
        """Add pairs [P]."""
        self._held.append((item * self._width + neighbour, weight))
        self._count += weight.size
        if self._count >= self._rows:
            self._add_up()
            if self._count > self._rows // 2:
                self._spill()

    def portions(self) -> Iterator[tuple[I64, I64, I64]]:
        """Item, neighbour and sum of every pair, sorted by item, then neighbour; a portion has all pairs of its items."""
        self._add_up()
        if self._runs:
            self._spill()
        for key, total in self._merged() if self._runs else self._held:
            yield key // self._width, key % self._width, total

    def _add_up(self) -> None:
        self._held = [added(self._held)]
        self._count = self._held[0][0].size

    def _spill(self) -> None:
        if not self._runs:
            self._per_item = np.zeros(self._width, np.int64)
        np.add.at(self._per_item, self._held[0][0] // self._width, 1)
        self._runs.append(self._written(iter(self._held)))
        self._held, self._count = [], 0
        if len(self._runs) == MOST_RUNS:
            merged = self._written(self._merged())
            for run in self._runs:
                run.close()
            self._runs = [merged]

    def _written(self, parts: Iterator[Sums]) -> IO[bytes]:
        """Write sorted sums to a run."""
        run: IO[bytes] = self._files.enter_context(tempfile.TemporaryFile(dir=self._folder))  # noqa: SIM115 (closed with the stack)
        options = {"use_dictionary": [_SUM], "column_encoding": {_KEY: "DELTA_BINARY_PACKED"}, "write_statistics": False}
        with pq.ParquetWriter(run, _SCHEMA, compression="zstd", **options) as writer:
            for key, total in parts:
                writer.write_table(pa.table([key, total], schema=_SCHEMA), row_group_size=_ROW_GROUP)
        return run

    def _merged(self) -> Iterator[Sums]:
        """The sums over all runs, about `rows` pairs at a time, or those of a single item."""
        readers = [_Run(run) for run in self._runs]
        for _, border in ranges_of_at_most(prefix_sums(self._per_item), self._rows):
            found: list[Sums] = []
            for reader in readers:
                found.extend(reader.until(border * self._width))
                if sum(key.size for key, _ in found) > self._rows:
                    found = [added(found)]
            yield added(found)


class _Run:
    """Reads a run once, in order."""

    def __init__(self, file: IO[bytes]) -> None:
        file.seek(0)
        self._pages = pq.ParquetFile(file, pre_buffer=False).iter_batches(RUN_PAGE, use_threads=False)
        self._rest: Sums = (np.zeros(0, np.int64),) * 2

    def until(self, limit: int) -> Iterator[Sums]:
        """The unread part with keys below `limit`."""
        while True:
            key, total = self._rest
            cut = int(np.searchsorted(key, limit))
            if cut:
                yield key[:cut], total[:cut]
            self._rest = key[cut:], total[cut:]
            if cut < key.size or (page := next(self._pages, None)) is None:
                return
            self._rest = page.column(_KEY).to_numpy(), page.column(_SUM).to_numpy()


def added(parts: list[Sums]) -> Sums:
    """The sums over all parts; keys may be in any order and repeat."""
    nothing = np.zeros(0, np.int64)
    key = np.concatenate([nothing, *(key for key, _ in parts)])
    weight = np.concatenate([nothing, *(weight for _, weight in parts)])
    order = np.argsort(key)
    key, weight = key[order], weight[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    return key[first], np.add.reduceat(weight, first) if first.size else weight
