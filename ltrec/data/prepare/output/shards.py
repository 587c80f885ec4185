"""Writes blocks of users to shards. A shard holds whole blocks of one part, each as a row group; its name contains its hash.

Lists are non-nullable (no null bitmaps), delta-packed, compressed with zstd, with page checksums: 2-4 times faster to read than
pyarrow's defaults, and a flipped bit is detected (data-layer measurements).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.storage.atomic import rename_by_hash
from ltrec.data.manifest import Shard
from ltrec.data.prepare.output.rows import RowForm
from ltrec.data.prepare.sorting.grouping import UserBlock
from ltrec.data.prepare.sorting.parts import Cut, StratumPart


def write_shards(
    stream: Iterable[UserBlock],
    parts: tuple[StratumPart, ...],
    form: RowForm,
    folder: Path,
    cut: Cut,
    on_users: Callable[[int], None],
) -> tuple[Shard, ...]:
    """Write all parts; a part becomes ceil(events / shard_events) shards with nearly equal numbers of blocks."""
    shards: list[Shard] = []
    writer: ShardWriter | None = None
    part, done = -1, 0
    for block in stream:
        if block.part != part:
            part, done = block.part, 0
            ends = last_blocks(parts[part], cut)
        if writer is None:
            writer = ShardWriter(folder, parts[part], form, len([b for b in ends if b < done]))
        writer.write(block)
        on_users(block.users.num_rows)
        if done in ends:
            shards.append(writer.close())
            writer = None
        done += 1
    assert writer is None
    return tuple(sorted(shards, key=lambda shard: shard.path))


def last_blocks(part: StratumPart, cut: Cut) -> set[int]:
    """Numbers of the last blocks of a part's shards."""
    count = math.ceil(part.rows / cut.block_rows)
    shards = min(count, math.ceil(part.events / cut.shard_events))
    return {(s + 1) * count // shards - 1 for s in range(shards)}


def unnamed_shard(folder: Path, part: StratumPart, number: int) -> Path:
    """Where a shard of a part is, without the hash and the suffix of its name; `folder` is the data set's."""
    stratum = "none" if part.stratum < 0 else part.stratum
    return folder / f"stratum={stratum}" / f"{'part' if part.trainable else 'rest'}-{number:05d}"


class ShardWriter:
    """One shard that is being written; it is then flushed, hashed, and named by its hash.

    Args:
        folder: of the data set to be.
        part: the part that the shard is of.
        form: how rows are written.
        number: of the shard within its part.
        mark: of this attempt, where several may write the same shard at a time; empty = there is only one.
    """

    def __init__(self, folder: Path, part: StratumPart, form: RowForm, number: int, mark: str = "") -> None:
        self.part, self.form = part, form
        unnamed = unnamed_shard(folder, part, number)
        self.stem, self.folder = unnamed.name, unnamed.parent
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = (self.folder / f".{mark}" if mark else self.folder) / f"{self.stem}.tmp"
        self.path.parent.mkdir(exist_ok=True)
        self.rows = self.events = 0
        self.file = pq.ParquetWriter(
            self.path,
            form.schema,
            compression="zstd",
            use_dictionary=[c.STRATUM],
            column_encoding=form.encodings(),
            write_page_checksum=True,
            write_batch_size=4096,
        )

    def write(self, block: UserBlock) -> None:
        """Append one block as one row group."""
        self.write_rows(self.form.rows(block), len(block.codes))

    def write_rows(self, table: pa.Table, events: int) -> None:
        """Append rows in the schema of shards as one row group."""
        self.file.write_table(table, row_group_size=table.num_rows)
        self.rows += table.num_rows
        self.events += events

    def close(self) -> Shard:
        """Flush the file to disk and give it its name."""
        self.file.close()
        with open(self.path, "rb+") as handle:
            os.fsync(handle.fileno())
        final, digest = rename_by_hash(self.path)
        final = final.replace(self.folder / final.name)
        path = f"{self.folder.name}/{final.name}"
        return Shard(path, self.part.stratum, self.part.trainable, final.stat().st_size, digest, self.rows, self.events)
