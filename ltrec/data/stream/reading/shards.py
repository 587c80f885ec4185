"""Reading shards by row group, verified down to the page checksums.

A shard is checked when it is first opened (size, sha256, schema, row groups), and its footer is kept. Every read opens the file
again: a Parquet reader must not be shared by threads, and opening with a known footer takes a tenth of a millisecond. Every row
group is read here, so this is where remote storage or the repair of bad blocks would be added.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core.errors import UserError, first_line, nearest
from ltrec.core.storage.atomic import sha256_file
from ltrec.data.manifest import MEND, Manifest
from ltrec.data.schema import shard_schema
from ltrec.data.stream.config import CHECKS
from ltrec.data.stream.reading.lru_cache import LruCache

_FOOTERS_KEPT = 1024

UNREADABLE = (OSError, ValueError, pa.ArrowException)
"""What pyarrow raises for damaged bytes: bad pages and truncation, names in the footer that are not UTF-8, everything else."""


class ShardReader:
    """The shards of a prepared data set.

    Args:
        folder: the data set.
        manifest: its manifest.
        check: `hash` compares a shard's sha256 when it is first opened, `size` does not.

    Raises:
        UserError: a shard is missing or has another size than the manifest says.
    """

    def __init__(self, folder: Path, manifest: Manifest, check: str = "hash") -> None:
        if check not in CHECKS:
            raise UserError(f"`check`={check!r} is not one of {', '.join(CHECKS)}{nearest(check, CHECKS)}")
        self._folder, self._manifest, self._check = folder, manifest, check
        self._schema = shard_schema(manifest.columns)
        self._footers: LruCache[int, pq.FileMetaData] = LruCache(self._open, keep=_FOOTERS_KEPT)
        self._hashed: set[int] = set()
        self._lock = Lock()
        for number, shard in enumerate(manifest.shards):
            check_size(self.path(number), shard.bytes)

    def path(self, shard: int) -> Path:
        """The file of the shard with this number."""
        return self._folder / self._manifest.shards[shard].path

    def read(self, shard: int, group: int, columns: list[str]) -> pa.Table:
        """One row group, with one Arrow chunk per column.

        Raises:
            UserError: the bytes are not those that were written; the message names shard and row group.
        """
        footer = self._footers(shard)
        try:
            with pq.ParquetFile(
                self.path(shard), metadata=footer, memory_map=True, pre_buffer=False, page_checksum_verification=True
            ) as file:
                table = file.read_row_group(group, columns=columns, use_threads=False)
        except UNREADABLE as error:
            raise self.damage(shard, group, first_line(error)) from None
        if table.num_rows != self._rows(shard, group):
            raise self.damage(shard, group, f"{table.num_rows} rows instead of {self._rows(shard, group)}")
        return table.combine_chunks()

    def damage(self, shard: int, group: int, what: str) -> UserError:
        """The error to raise for a damaged row group."""
        return UserError(f"{self.path(shard)}, row group {group}: {what}; the data set is damaged, {MEND}")

    def _rows(self, shard: int, group: int) -> int:
        size = self._manifest.block_rows
        return min(size, self._manifest.shards[shard].rows - group * size)

    def _open(self, shard: int) -> pq.FileMetaData:
        path, expected = self.path(shard), self._manifest.shards[shard]
        if self._check == "hash" and shard not in self._hashed:
            check_hash(path, expected.sha256)
            with self._lock:
                self._hashed.add(shard)
        try:
            with pq.ParquetFile(path, memory_map=True) as file:
                footer, schema = file.metadata, file.schema_arrow
        except UNREADABLE as error:
            raise UserError(f"{path} cannot be read: {first_line(error)}; the data set is damaged, {MEND}") from None
        groups = -(-expected.rows // self._manifest.block_rows)
        if (footer.num_rows, footer.num_row_groups) != (expected.rows, groups) or not schema.equals(self._schema):
            raise UserError(f"{path} does not hold the {expected.rows} rows in {groups} row groups of the manifest; {MEND}")
        return footer


def check_size(path: Path, expected: int) -> None:
    """Compare a file's size with the manifest's.

    Raises:
        UserError: the file is missing or has another size.
    """
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        raise UserError(f"{path} is missing: the manifest names it; copy the data set again, or {MEND}") from None
    if found != expected:
        raise UserError(f"{path} has {found} bytes, the manifest says {expected}; copy the data set again, or {MEND}")


def check_hash(path: Path, expected: str) -> None:
    """Compare a file's sha256 with the manifest's.

    Raises:
        UserError: they differ.
    """
    if sha256_file(path) != expected:
        raise UserError(f"{path} is damaged: its sha256 differs from the manifest's; copy the data set again, or {MEND}")
