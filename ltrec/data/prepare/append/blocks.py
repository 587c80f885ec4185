"""The grown data set block by block, as a full prepare streams it before it is written: for what is measured over all events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import types

from ltrec.core import columns as c
from ltrec.core.ragged import prefix_sums
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.sorting.grouping import UserBlock
from ltrec.data.verify.shard_rows import ShardRows


def stored_blocks(folder: Path, manifest: Manifest) -> Iterator[UserBlock]:
    """All row groups in the order in which prepare writes them; codes are ids."""
    parts = sorted({(shard.stratum, not shard.trainable) for shard in manifest.shards})
    for number, part in enumerate(parts):
        for shard in manifest.shards:
            if (shard.stratum, not shard.trainable) == part:
                rows = ShardRows(folder, shard, manifest)
                yield from (_block(number, rows.table(group)) for group in range(rows.groups))


def _block(part: int, table: pa.Table) -> UserBlock:
    lists = {f.name: table[f.name].combine_chunks() for f in table.schema if types.is_list(f.type)}
    values = {name: column.flatten().to_numpy() for name, column in lists.items()}
    offsets = prefix_sums(lists[c.ITEMS].value_lengths().to_numpy().astype("int64"))
    return UserBlock(part, table.drop_columns(list(lists)), offsets, values.pop(c.ITEMS), values.pop(c.TIMES), values)
