"""Sorting by shard, and the passes over the sorted shards. A shard is known in advance: it is a range of users' places.

users, events ─repartition by shard, sort in the partitions─▶ a file of users and one of events per shard ─a task each─▶ shards
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from ltrec.core.progress import Progress
from ltrec.core.storage.typed import construct
from ltrec.data.manifest import Shard
from ltrec.data.prepare.columns.tally import Tally, training_values
from ltrec.data.prepare.engines.spark.partition import Batches, mapped
from ltrec.data.prepare.engines.spark.tables import SparkTables
from ltrec.data.prepare.output.rows import RowForm
from ltrec.data.prepare.output.shards import ShardWriter, last_blocks
from ltrec.data.prepare.sorting.grouping import UserBlock, blocks
from ltrec.data.prepare.sorting.parts import Cut, Layout, StratumPart

_WRITTEN = pa.schema([("shard", pa.int64()), ("rows", pa.int64())])
_COUNTS = pa.schema(
    [("field", pa.int32()), ("code", pa.int64()), ("times", pa.int64()), ("place", pa.int64()), ("chunk", pa.string())]
)
_SHARDS = pa.schema([("shard", pa.int64()), ("entry", pa.string())])
ITEMS = -1
"""Field number of item counts."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One shard: `number` is that within its part."""

    part: int
    number: int
    first_place: int
    size: StratumPart

    def layout(self, folder: Path, shard: int) -> Layout:
        """Its sorted files."""
        users, events = (folder / f"{kind}-{shard:06d}.parquet" for kind in ("users", "events"))
        return Layout(users, events, (self.size,), self.part, self.first_place)


def pieces(parts: Sequence[StratumPart], cut: Cut) -> list[Piece]:
    """All shards of all parts, in the order of places."""
    found, place = [], 0
    for index, part in enumerate(parts):
        start = place
        for number, last in enumerate(sorted(last_blocks(part, cut))):
            end = min(start + part.rows, start + (last + 1) * cut.block_rows)
            found.append(Piece(index, number, place, StratumPart(part.stratum, part.trainable, end - place, -1)))
            place = end
    return found


@dataclass(frozen=True, slots=True)
class FileWriter:
    """Writes the rows of a partition, sorted by shard, to one file per shard."""

    folder: Path
    kind: str
    left_out: tuple[str, ...]

    def __call__(self, batches: Batches) -> Batches:
        """Write; return the rows of every shard."""
        file: pq.ParquetWriter | None = None
        shard, rows = -1, 0
        temporary = self.folder / f".{self.kind}-{uuid4().hex}.tmp"
        for batch in batches:
            numbers = batch["shard"].to_numpy()
            kept = batch.select([name for name in batch.schema.names if name not in self.left_out])
            cuts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)] if len(numbers) else [0]
            for begin, end in pairwise(cuts):
                if numbers[begin] != shard:
                    yield from self._close(file, temporary, shard, rows)
                    shard, rows = int(numbers[begin]), 0
                    file = pq.ParquetWriter(temporary, kept.schema, compression="zstd")
                assert file is not None
                file.write_batch(kept.slice(begin, end - begin))
                rows += end - begin
        yield from self._close(file, temporary, shard, rows)

    def _close(self, file: pq.ParquetWriter | None, temporary: Path, shard: int, rows: int) -> Batches:
        if file is not None:
            file.close()
            os.replace(temporary, self.folder / f"{self.kind}-{shard:06d}.parquet")
            yield pa.record_batch([[shard], [rows]], schema=_WRITTEN)


class SortedShards:
    """See `Sorted`.

    Args:
        tables: of the engine.
        parts: the parts in order.
        cut: sizes of blocks and shards.
        folder: of the sorted files.
        work: folder in which the data set is built.
    """

    def __init__(self, tables: SparkTables, parts: tuple[StratumPart, ...], cut: Cut, folder: Path, work: Path) -> None:
        self.parts, self._tables, self._cut, self._folder, self._work = parts, tables, cut, folder, work
        self._pieces = pieces(parts, cut)
        folder.mkdir()

    def sort(self, kind: str, frame: DataFrame, order: Sequence[str], left_out: Sequence[str]) -> None:
        """Write the rows of a frame with the column `place` to one sorted file per shard."""
        starts = np.array([piece.first_place for piece in self._pieces])
        schema = pa.schema([*self._arrow(frame), ("shard", pa.int64())])

        def placed(batches: Batches) -> Batches:
            for batch in batches:
                shard = np.searchsorted(starts, batch["place"].to_numpy(), side="right") - 1
                yield pa.RecordBatch.from_arrays([*batch.columns, pa.array(shard)], schema.names)

        by_shard = mapped(frame, placed, schema).repartition(len(starts), "shard")
        writer = FileWriter(self._folder, kind, ("shard", *left_out))
        written = mapped(by_shard.sortWithinPartitions("shard", *order), writer, _WRITTEN).collect()
        if sorted(row["shard"] for row in written) != list(range(len(starts))):
            raise RuntimeError(f"the sort returned {kind} of some shards twice, or not at all")

    def blocks(self, columns: Sequence[str] = ()) -> Iterator[UserBlock]:
        """Shard by shard, in this process."""
        for shard, piece in enumerate(self._pieces):
            yield from blocks(piece.layout(self._folder, shard), self._cut.block_rows, columns)

    def count(self, codes: int, tallies: Sequence[Tally]) -> npt.NDArray[np.int64]:
        """Counts of codes are added up by Spark; moments are folded here, block by block in their order."""
        folder, cut, shards, own = self._folder, self._cut, tuple(self._pieces), list(tallies)
        fields = [tally.column.field for tally in own if tally.column.role == "event"]

        def run(batches: Batches) -> Batches:
            for shard in _numbers(batches):
                layout = shards[shard].layout(folder, shard)
                for number, block in enumerate(blocks(layout, cut.block_rows, fields)):
                    place = layout.first_place + number * cut.block_rows
                    yield _codes(ITEMS, *np.unique(block.codes[block.trained()], return_counts=True))
                    for field, (tally, values) in enumerate(zip(own, training_values(block, own), strict=True)):
                        chunk = tally.chunk(values)
                        yield _codes(field, *chunk) if tally.column.kind.is_categorical else _chunk(field, place, chunk)

        self._tables.save("counts", mapped(self._tasks(), run, _COUNTS))
        for field, tally in enumerate(own):
            if tally.column.kind.is_categorical:
                tally.fold(self._summed(field))
            else:
                query = f"SELECT chunk FROM counts WHERE field = {field} ORDER BY place"
                for row in self._tables.session.sql(query).toLocalIterator():
                    tally.fold(json.loads(row["chunk"]))
        total = np.zeros(codes, np.int64)
        code, times = self._summed(ITEMS)
        total[code] = times
        self._tables.drop("counts")
        return total

    def write(self, form: RowForm, on_progress: Progress) -> tuple[Shard, ...]:
        """One task per shard."""
        folder, work, cut, shards, parts = self._folder, self._work, self._cut, tuple(self._pieces), self.parts
        on_progress("write", 0, sum(part.rows for part in parts))

        def run(batches: Batches) -> Batches:
            for shard in _numbers(batches):
                piece = shards[shard]
                writer = ShardWriter(work, parts[piece.part], form, piece.number, uuid4().hex)
                for block in blocks(piece.layout(folder, shard), cut.block_rows, form.fields):
                    writer.write(block)
                yield pa.record_batch([[shard], [json.dumps(asdict(writer.close()))]], schema=_SHARDS)

        found = [construct(Shard, json.loads(row["entry"])) for row in mapped(self._tasks(), run, _SHARDS).collect()]
        on_progress("write", sum(shard.rows for shard in found), sum(part.rows for part in parts))
        return tuple(sorted(found, key=lambda shard: shard.path))

    def _tasks(self) -> DataFrame:
        count = len(self._pieces)
        return self._tables.session.range(0, count, 1, count)

    def _summed(self, field: int) -> list[npt.NDArray[np.int64]]:
        query = f"SELECT code, sum(times) AS times FROM counts WHERE field = {field} GROUP BY code"
        table = self._tables.session.sql(query).toArrow()
        return [table[name].to_numpy() for name in ("code", "times")]

    def _arrow(self, frame: DataFrame) -> list[pa.Field]:
        return list(frame.limit(0).toArrow().schema)


def _numbers(batches: Batches) -> Iterator[int]:
    for batch in batches:
        yield from batch.column(0).to_pylist()


def _codes(field: int, code: npt.ArrayLike, times: npt.ArrayLike) -> pa.RecordBatch:
    codes, counts = (np.asarray(values, np.int64) for values in (code, times))
    count = len(codes)
    fields, numbers = pa.array(np.full(count, field, np.int32)), [pa.array(codes), pa.array(counts)]
    return pa.record_batch([fields, *numbers, pa.nulls(count, pa.int64()), pa.nulls(count, pa.string())], schema=_COUNTS)


def _chunk(field: int, place: int, chunk: object) -> pa.RecordBatch:
    one = [
        pa.array([field], pa.int32()),
        pa.nulls(1, pa.int64()),
        pa.nulls(1, pa.int64()),
        pa.array([place]),
        pa.array([json.dumps(chunk)]),
    ]
    return pa.record_batch(one, schema=_COUNTS)
