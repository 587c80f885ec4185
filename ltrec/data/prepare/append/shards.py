"""The shards of the grown data set: users of the parent and of the day in the order of a full prepare, cut as a full prepare cuts.

Rows of the day are in files of their own, with small row groups, because a row group of a shard needs few rows of each. A shard
whose rows come from several files becomes a list of rows. It is written anew as a plain shard, with the bytes of a full prepare,
once its rows are in more than `MOST_LAYERS` files, or a quarter of them in such small row groups, or its files have more superseded
rows than a quarter of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core.ragged import I64
from ltrec.core.storage.atomic import rename_by_hash
from ltrec.data.manifest import Layer, Manifest, Shard
from ltrec.data.prepare.append.rows import ParentUsers, PartUsers
from ltrec.data.prepare.engines.protocol import Engine
from ltrec.data.prepare.output.rows import RowForm
from ltrec.data.prepare.output.shards import ShardWriter, last_blocks, unnamed_shard
from ltrec.data.prepare.sorting.parts import Cut, StratumPart
from ltrec.data.row_list import RowList, write_row_list

LAYER_ROWS = 256
"""Rows of a row group of the day's files, at most; and a quarter of those of a shard."""
MOST_LAYERS = 8
MOST_NEW = 0.25

Parts = dict[tuple[int, bool], PartUsers]


@dataclass(frozen=True, slots=True)
class GrownShards:
    """Shards, ordered by path, and the files that they take rows from, in the parent's folder or that of the day's files."""

    shards: tuple[Shard, ...]
    layers: tuple[Layer, ...]


def layer_cut(cut: Cut) -> Cut:
    """How the day's files are cut."""
    return Cut(min(LAYER_ROWS, -(-cut.block_rows // 4)), cut.shard_events)


def users_of_day(engine: Engine, written: Sequence[Shard], first_file: int) -> Parts:
    """The users in `stored`, by part, where they were written: files are numbered from `first_file` on, as in `written`."""
    columns = "stratum, trainable, user_key, (last - first)::INTEGER AS length, activity, count::INTEGER AS count"
    rows = engine.catalogue.sql(f"SELECT {columns} FROM stored ORDER BY place").to_arrow_table()
    found = {name: rows[name].to_numpy() for name in rows.column_names}
    parts: Parts = {}
    for part in {(shard.stratum, shard.trainable) for shard in written}:
        own = (found["stratum"] == part[0]) & (found["trainable"] == part[1])
        files = [(first_file + n, shard.rows) for n, shard in enumerate(written) if (shard.stratum, shard.trainable) == part]
        file_R = np.repeat(*np.array(files, np.int64).T).astype(np.int32)
        row_R = np.concatenate([np.arange(rows) for _, rows in files])
        parts[part] = PartUsers(
            *part, found["user_key"][own], file_R, row_R, *(found[name][own] for name in ("length", "activity", "count"))
        )
    return parts


class ShardBuilder:
    """Puts the shards together in `work`.

    Args:
        parent: users of the parent.
        manifest: of the parent.
        folder: of the parent.
        work: folder in which the data set is built; the day's files are in it.
        day: files of the day.
        form: how rows are written.
    """

    def __init__(
        self, parent: ParentUsers, manifest: Manifest, folder: Path, work: Path, day: Sequence[Layer], form: RowForm
    ) -> None:
        self._manifest, self._folder, self._work, self._form = manifest, folder, work, form
        self._parent, self._files = parent, [*parent.files, *day]
        self._cut = Cut(manifest.block_rows, manifest.options["shard_events"])
        self._layers: dict[str, int] = {}

    def build(self, day: Parts, key_U: I64) -> GrownShards:
        """All shards; `key_U` are the users of the day (sorted), whose old rows are superseded."""
        shards = list[Shard]()
        for part in sorted({*self._parent.parts, *day}):
            old = self._parent.parts.get(part)
            superseded = old.among(key_U) if old is not None else np.zeros(0, np.bool_)
            if old is not None and part not in day and not superseded.any():
                shards += self._kept(part)
            elif kept := [
                users for users in (old.take(~superseded) if old is not None else None, day.get(part)) if users is not None
            ]:
                shards += self._merged(part, kept)
        by_path = {file.path: file for file in (*self._files, *self._manifest.layers)}
        layers = tuple(by_path[path] for path in self._layers)
        return GrownShards(tuple(sorted(shards, key=lambda shard: shard.path)), layers)

    def _kept(self, part: tuple[int, bool]) -> Iterator[Shard]:
        """The parent's shards of a part in which nothing changes."""
        for shard in self._manifest.shards:
            if (shard.stratum, shard.trainable) == part:
                yield replace(shard, layers=tuple(self._number(self._manifest.layers[n].path) for n in shard.layers))

    def _merged(self, part: tuple[int, bool], users: Sequence[PartUsers]) -> Iterator[Shard]:
        names = ("key_R", "file_R", "row_R", "length_R")
        key_R, file_R, row_R, length_R = (np.concatenate([getattr(some, name) for some in users]) for name in names)
        order = np.argsort(key_R, kind="stable")
        file_R, row_R, length_R = file_R[order].astype(np.int64), row_R[order], length_R[order].astype(np.int64)
        if not order.size:
            return
        whole = StratumPart(*part, int(order.size), int(length_R.sum()))
        live = np.bincount(file_R, minlength=len(self._files))
        low = 0
        for number, block in enumerate(sorted(last_blocks(whole, self._cut))):
            high = min((block + 1) * self._cut.block_rows, whole.rows)
            own = slice(low, high)
            yield self._shard(whole, number, file_R[own], row_R[own], length_R[own], live)
            low = high

    def _shard(self, part: StratumPart, number: int, file_R: I64, row_R: I64, length_R: I64, live: I64) -> Shard:
        rows_F = np.bincount(file_R, minlength=len(self._files))
        files = np.flatnonzero(rows_F)
        layer_F = np.zeros(rows_F.size, np.int64)
        layer_F[files] = np.arange(files.size)
        rows = RowList.of(layer_F[file_R], row_R)
        own = [self._files[file] for file in files.tolist()]
        dead = sum(self._files[file].rows - int(live[file]) for file in files.tolist())
        if self._is_scattered(own, rows_F[files].tolist(), dead):
            return self._written(part, number, own, rows, length_R)
        path = unnamed_shard(self._work, part, number).with_suffix(".tmp")
        path.parent.mkdir(exist_ok=True)
        write_row_list(path, rows)
        with open(path, "rb+") as handle:
            os.fsync(handle.fileno())
        named, digest = rename_by_hash(path)
        final = named.rename(named.with_suffix(".rows.parquet"))
        return Shard(
            final.relative_to(self._work).as_posix(),
            part.stratum,
            part.trainable,
            final.stat().st_size,
            digest,
            int(row_R.size),
            int(length_R.sum()),
            tuple(self._number(file.path) for file in own),
        )

    def _is_scattered(self, files: Sequence[Layer], rows: Sequence[int], dead: int) -> bool:
        """Whether a shard is better written anew: it has so many `rows` in each file, and `dead` rows of these are superseded."""
        small = sum(count for file, count in zip(files, rows, strict=True) if file.block_rows < self._cut.block_rows)
        return len(files) > MOST_LAYERS or max(small, dead) > MOST_NEW * sum(rows)

    def _written(self, part: StratumPart, number: int, files: Sequence[Layer], rows: RowList, length_R: I64) -> Shard:
        """A plain shard of these rows."""
        writer = ShardWriter(self._work, part, self._form, number)
        opened = [pq.ParquetFile(self._place(file.path), page_checksum_verification=True, pre_buffer=False) for file in files]

        def read(layer: int, group: int) -> pa.Table:
            return opened[layer].read_row_group(group, use_threads=False)

        for low in range(0, length_R.size, self._cut.block_rows):
            high = min(low + self._cut.block_rows, length_R.size)
            table = rows.table(low, high, [file.block_rows for file in files], read)
            writer.write_rows(table, int(length_R[low:high].sum()))
        for file in opened:
            file.close()
        return writer.close()

    def _place(self, path: str) -> Path:
        return self._work / path if (self._work / path).exists() else self._folder / path

    def _number(self, path: str) -> int:
        return self._layers.setdefault(path, len(self._layers))


def share(paths: Sequence[str], folder: Path, work: Path) -> None:
    """Give files of the parent in `folder` a second name in `work`; where the file system cannot, copy them."""
    for path in paths:
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(folder / path, work / path)
        except OSError:
            with open(folder / path, "rb") as source, open(work / path, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 22)
                target.flush()
                os.fsync(target.fileno())
