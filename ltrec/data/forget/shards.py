"""Shards without the forgotten: read row group by row group, and written anew if any of their users is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ltrec.core import columns as c
from ltrec.core.progress import Progress
from ltrec.data.forget.files import checked_batches
from ltrec.data.forget.removed import Removed
from ltrec.data.manifest import Layer, Manifest, Shard
from ltrec.data.prepare.output.rows import RowForm
from ltrec.data.prepare.output.shards import ShardWriter
from ltrec.data.prepare.sorting.parts import StratumPart
from ltrec.data.schema import shard_schema
from ltrec.data.stream.reading.shards import ShardReader


class ShardsWithout:
    """Writes the shards of a data set without some users.

    Args:
        folder: the data set.
        manifest: of the data set.
        ids: raw ids of the users.
        work: folder for what is written.
    """

    def __init__(self, folder: Path, manifest: Manifest, ids: pa.Array, work: Path) -> None:
        self._folder, self._manifest, self._ids, self._work = folder, manifest, ids, work
        self._reader = ShardReader(folder, manifest)
        self._form = RowForm(np.zeros(0, np.int32), shard_schema(manifest.columns))

    def write(self, removed: Removed, on_progress: Progress) -> tuple[tuple[Shard, ...], tuple[Layer, ...]]:
        """The shards of the rest and their layers, most of them the old ones; what is removed is added to `removed`.

        A layer with any of the users, be it in a row that no shard takes, is given up: its shards are written as plain files.

        Raises:
            UserError: a shard is missing or damaged.
        """
        found: list[Shard] = []
        tainted = {number for number, layer in enumerate(self._manifest.layers) if self._is_tainted(layer)}
        for number, shard in enumerate(self._manifest.shards):
            if tainted.isdisjoint(shard.layers) and not self._has_any(number):
                found.append(shard)
            elif (rest := self._rest(number, removed)) is not None:
                found.append(rest)
            on_progress("shards", number + 1, len(self._manifest.shards))
        used = sorted({number for shard in found for number in shard.layers})
        numbered = {old: new for new, old in enumerate(used)}
        shards = [replace(shard, layers=tuple(numbered[old] for old in shard.layers)) for shard in found]
        return tuple(sorted(shards, key=lambda shard: shard.path)), tuple(self._manifest.layers[old] for old in used)

    def _is_tainted(self, layer: Layer) -> bool:
        batches = checked_batches(self._folder, self._manifest, layer.path, [c.USER_ID])
        return any(self._chosen(batch).any() for batch in batches)

    def _has_any(self, number: int) -> bool:
        return any(self._chosen(table).any() for table in self._groups(number, [c.USER_ID]))

    def _chosen(self, table: pa.Table | pa.RecordBatch) -> np.ndarray:
        chosen: np.ndarray = pc.is_in(table[c.USER_ID], value_set=self._ids).to_numpy(zero_copy_only=False)
        return chosen

    def _groups(self, number: int, columns: list[str]) -> Iterator[pa.Table]:
        for group in range(self._manifest.row_groups(self._manifest.shards[number])):
            yield self._reader.read(number, group, columns)

    def _rest(self, number: int, removed: Removed) -> Shard | None:
        """What remains of a shard; None if nothing does."""
        old, size = self._manifest.shards[number], self._manifest.block_rows
        writer = ShardWriter(self._work, StratumPart(old.stratum, old.trainable, old.rows, old.events), self._form, _number(old))
        waiting = self._form.schema.empty_table()
        for table in self._groups(number, self._form.schema.names):
            chosen = self._chosen(table)
            if chosen.any():
                removed.add(table.filter(pa.array(chosen)).combine_chunks(), old)
            waiting = pa.concat_tables([waiting, table.filter(pa.array(~chosen))])
            while waiting.num_rows >= size:
                _write(writer, waiting.slice(0, size))
                waiting = waiting.slice(size)
        if waiting.num_rows:
            _write(writer, waiting)
        shard = writer.close()
        if not shard.rows:
            (self._work / shard.path).unlink()
            return None
        return shard


def _write(writer: ShardWriter, table: pa.Table) -> None:
    whole = table.combine_chunks()
    writer.write_rows(whole, pc.sum(pc.list_value_length(whole[c.ITEMS])).as_py())


def _number(shard: Shard) -> int:
    """The number in a shard's name, `part-00007-...`."""
    return int(Path(shard.path).name.split("-")[1].partition(".")[0])
