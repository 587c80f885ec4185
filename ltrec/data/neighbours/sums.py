"""Pairs -> their sums, in bounded memory. Whole numbers are added, so the result depends neither on the order in which pairs come
nor on what is written to disk meanwhile.

Pairs are collected, and now and then sorted and added up. When even their sums are many they are put aside as a *run*: a sorted
Parquet file (2 to 6 bytes a pair). In the end ranges of items are read from all runs side by side, each run once and in order.

    memory    about 72 bytes x (rows + the sums of one item, at most V) + RUN_PAGE x 16 bytes x runs
    disk      at most 16 bytes x pairs, and pairs <= 2 x events x max_gap without ties (the few events that tie have more)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.data.neighbours.ties import I64

ROWS = 1 << 22
RUN_PAGE = 1 << 14
_KEY, _SUM = "key", "sum"
_SCHEMA = pa.schema([pa.field(name, pa.int64(), nullable=False) for name in (_KEY, _SUM)])

Sums = tuple[I64, I64]
"""Keys, distinct and ascending, and the sum of each."""


class PairSums:
    """Sums of weights by (item, neighbour).

    Args:
        num_items: V; ids are 1..V.
        folder: where runs may be put; it must exist when there are any.
        rows: pairs that are held in memory.
    """

    def __init__(self, num_items: int, folder: Path, rows: int = ROWS) -> None:
        self._width, self._folder, self._rows = num_items + 1, folder, rows
        self._held: list[Sums] = []
        self._count = 0
        self._runs: list[Path] = []
        self._per_item = np.zeros(0, np.int64)

    @property
    def num_runs(self) -> int:
        """Runs on disk."""
        return len(self._runs)

    def add(self, item: I64, neighbour: I64, weight: I64) -> None:
        """Take pairs [P] in."""
        self._held.append((item * self._width + neighbour, weight))
        self._count += weight.size
        if self._count >= self._rows:
            self._add_up()
            if self._count > self._rows // 2:
                self._put_aside()

    def portions(self) -> Iterator[tuple[I64, I64, I64]]:
        """Item, neighbour and sum of every pair that occurred, by item, then neighbour; a portion has all pairs of its items."""
        self._add_up()
        if not self._runs:
            yield self._split(self._held[0])
            return
        self._put_aside()
        readers = [_Run(path) for path in self._runs]
        for high in self._borders():
            found: list[Sums] = []
            for reader in readers:
                found.extend(reader.until(high * self._width))
                if sum(key.size for key, _ in found) > self._rows:
                    found = [added(found)]
            yield self._split(added(found))

    def _borders(self) -> Iterator[int]:
        """Where ranges of items end: those of about `rows` pairs over all runs, or of a single item."""
        below = np.concatenate([np.zeros(1, np.int64), np.cumsum(self._per_item)])
        low = 0
        while low < self._width:
            high = int(np.searchsorted(below, below[low] + self._rows, side="right")) - 1
            low = min(max(high, low + 1), self._width)
            yield low

    def _split(self, sums: Sums) -> tuple[I64, I64, I64]:
        return sums[0] // self._width, sums[0] % self._width, sums[1]

    def _add_up(self) -> None:
        self._held = [added(self._held)]
        self._count = self._held[0][0].size

    def _put_aside(self) -> None:
        key, total = self._held[0]
        if not self._runs:
            self._per_item = np.zeros(self._width, np.int64)
        np.add.at(self._per_item, key // self._width, 1)
        path = self._folder / f"run-{len(self._runs):05}.parquet"
        pq.write_table(
            pa.table([key, total], schema=_SCHEMA),
            path,
            compression="zstd",
            use_dictionary=[_SUM],
            column_encoding={_KEY: "DELTA_BINARY_PACKED"},
            write_statistics=False,
        )
        self._runs.append(path)
        self._held, self._count = [], 0


class _Run:
    """A run that is read once, in order."""

    def __init__(self, path: Path) -> None:
        file = pq.ParquetFile(path, memory_map=True, pre_buffer=False)
        self._pages = file.iter_batches(RUN_PAGE, use_threads=False)
        self._rest: Sums = (np.zeros(0, np.int64),) * 2

    def until(self, limit: int) -> Iterator[Sums]:
        """What comes before the key `limit` and has not been read yet."""
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
    """The sums of all parts, whose keys may be in any order and repeat."""
    nothing = np.zeros(0, np.int64)
    key = np.concatenate([nothing, *(key for key, _ in parts)])
    weight = np.concatenate([nothing, *(weight for _, weight in parts)])
    order = np.argsort(key)
    key, weight = key[order], weight[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    return key[first], np.add.reduceat(weight, first) if first.size else weight
