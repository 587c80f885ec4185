"""The row groups of a shard while it is checked, put together from its layers if it has some."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.data.manifest import Layer, Manifest, Shard
from ltrec.data.row_list import read_row_list
from ltrec.data.schema import SHARD_SCHEMA, shard_schema

USERS = pa.schema([SHARD_SCHEMA.field(name) for name in (c.USER_ID, c.USER_KEY)])
"""Schema of a file of user ids and keys."""


class ShardRows:
    """A shard's row groups.

    Args:
        folder: where its files are.
        shard: the shard.
        manifest: of the data set.

    Raises:
        UserError: a file is damaged, or has other row groups than the manifest says.
    """

    def __init__(self, folder: Path, shard: Shard, manifest: Manifest) -> None:
        self.path = folder / shard.path
        self.groups = manifest.row_groups(shard)
        self._shard, self._block_rows = shard, manifest.block_rows
        self._layers = [manifest.layers[number] for number in shard.layers]
        schema = shard_schema(manifest.columns)
        self._files = [_opened(folder, layer, layer.block_rows, schema) for layer in self._layers]
        self._files = self._files or [_opened(folder, shard, manifest.block_rows, schema)]
        self._list = read_row_list(self.path, shard, manifest) if self._layers else None

    def table(self, group: int) -> pa.Table:
        """One row group.

        Raises:
            UserError: it is damaged.
        """
        try:
            if self._list is None:
                return self._files[0].read_row_group(group, use_threads=False)
            low, sizes = group * self._block_rows, [layer.block_rows for layer in self._layers]
            high = min(low + self._block_rows, self._shard.rows)
            return self._list.table(low, high, sizes, lambda layer, own: self._files[layer].read_row_group(own, use_threads=False))
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{self.path}, row group {group} is damaged: {str(error).splitlines()[0]}") from error

    def write_users(self, path: Path) -> None:
        """Write the ids and keys of its users to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(path, USERS) as writer:
            for group in range(self.groups):
                writer.write_table(self.table(group).select(USERS.names))


def open_file(path: Path, schema: pa.Schema) -> pq.ParquetFile:
    """A Parquet file with this schema.

    Raises:
        UserError: it is damaged or has another one.
    """
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
    if not file.schema_arrow.equals(schema):
        raise UserError(f"{path} has another schema than this format: {', '.join(file.schema_arrow.names)}")
    return file


def _opened(folder: Path, file: Shard | Layer, block_rows: int, schema: pa.Schema) -> pq.ParquetFile:
    opened = open_file(folder / file.path, schema)
    sizes = [opened.metadata.row_group(i).num_rows for i in range(opened.num_row_groups)]
    full, rest = divmod(file.rows, block_rows)
    if sizes != [block_rows] * full + [rest] * (rest > 0):
        raise UserError(f"{folder / file.path}: row groups of {Counter(sizes)} rows instead of {block_rows} each")
    return opened
