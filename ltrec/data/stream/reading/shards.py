"""Reading shards by row group, verified down to the page checksums.

A shard is checked when it is first opened (size, sha256, schema, row groups), and its footer is kept. Every read opens the file
again: a Parquet reader must not be shared by threads, and opening with a known footer takes a tenth of a millisecond. Every row
group is read here. A shard in a store is downloaded when it is opened; damage of its copy on this node is mended by another one.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core.errors import UserError, first_line, nearest
from ltrec.data.manifest import MEND, Manifest
from ltrec.data.remote.folder import shard_files
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
        self._files, self._manifest, self._check = shard_files(folder), manifest, check
        self._schema = shard_schema(manifest.columns)
        self._footers: LruCache[int, pq.FileMetaData] = LruCache(self._open, keep=_FOOTERS_KEPT)
        self._hashed: set[int] = set()
        self._lock = Lock()
        self._files.refuse_missing((shard.path, shard.bytes) for shard in manifest.shards)

    @property
    def downloads(self) -> int:
        """Shards to get at the same time ahead of their use; 0 = they are here."""
        return self._files.downloads

    def get(self, shard: int) -> None:
        """Have a shard on this node, if it is not: `read` finds it there. What fails will fail again in `read`."""
        file = self._manifest.shards[shard]
        with suppress(UserError, OSError):
            self._files.get(file.path, file.bytes, file.sha256)

    def read(self, shard: int, group: int, columns: list[str]) -> pa.Table:
        """One row group, with one Arrow chunk per column.

        Raises:
            UserError: the bytes are not those that were written; the message names shard and row group.
        """
        try:
            table = self._decoded(shard, group, columns)
        except UNREADABLE as error:
            expected = self._manifest.shards[shard]
            if not self._files.refetch(expected.path, expected.sha256):
                raise self.damage(shard, group, first_line(error)) from None
            try:
                table = self._decoded(shard, group, columns)
            except UNREADABLE as again:
                raise self.damage(shard, group, first_line(again)) from None
        if table.num_rows != self._rows(shard, group):
            raise self.damage(shard, group, f"{table.num_rows} rows instead of {self._rows(shard, group)}")
        return table.combine_chunks()

    def damage(self, shard: int, group: int, what: str) -> UserError:
        """The error to raise for a damaged row group."""
        return UserError(f"{self._place(shard)}, row group {group}: {what}; the data set is damaged, {MEND}")

    def _decoded(self, shard: int, group: int, columns: list[str]) -> pa.Table:
        footer = self._footers(shard)
        with (
            self._hold(shard, check=False) as path,
            pq.ParquetFile(path, metadata=footer, memory_map=True, pre_buffer=False, page_checksum_verification=True) as file,
        ):
            return file.read_row_group(group, columns=columns, use_threads=False)

    def _hold(self, shard: int, *, check: bool) -> AbstractContextManager[Path]:
        file = self._manifest.shards[shard]
        return self._files.hold(file.path, file.bytes, file.sha256, check=check)

    def _place(self, shard: int) -> str:
        return self._files.place(self._manifest.shards[shard].path)

    def _rows(self, shard: int, group: int) -> int:
        size = self._manifest.block_rows
        return min(size, self._manifest.shards[shard].rows - group * size)

    def _open(self, shard: int) -> pq.FileMetaData:
        expected, place = self._manifest.shards[shard], self._place(shard)
        with self._hold(shard, check=self._check == "hash" and shard not in self._hashed) as path:
            with self._lock:
                self._hashed.add(shard)
            try:
                with pq.ParquetFile(path, memory_map=True) as file:
                    footer, schema = file.metadata, file.schema_arrow
            except UNREADABLE as error:
                raise UserError(f"{place} cannot be read: {first_line(error)}; the data set is damaged, {MEND}") from None
        groups = -(-expected.rows // self._manifest.block_rows)
        if (footer.num_rows, footer.num_row_groups) != (expected.rows, groups) or not schema.equals(self._schema):
            raise UserError(f"{place} does not hold the {expected.rows} rows in {groups} row groups of the manifest; {MEND}")
        return footer
