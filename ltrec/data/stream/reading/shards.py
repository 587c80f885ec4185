"""Reading shards by row group, verified down to the page checksums.

A shard is checked when it is first opened (size, sha256, schema, row groups), and its footer is kept. Every read opens the file
again: a Parquet reader must not be shared by threads, and opening with a known footer takes a tenth of a millisecond. Every row
group is read here. A shard in a store is downloaded when it is opened; damage of its copy on this node is mended by another one.
Damage that remains is an error, `DamagedRowGroup` where it lies in a row group; with a quarantine it is remembered, and not read
again.
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
from ltrec.data.remote.shard_files import WrongHash
from ltrec.data.schema import shard_schema
from ltrec.data.stream.config import CHECKS
from ltrec.data.stream.quarantine.damage import DamagedRowGroup, Rule
from ltrec.data.stream.quarantine.quarantine import Quarantine
from ltrec.data.stream.quarantine.whole_shard import damaged_groups
from ltrec.data.stream.reading.lru_cache import LruCache
from ltrec.data.stream.reading.row_checks import UNREADABLE, rows_of_group

_FOOTERS_KEPT = 1024


class ShardReader:
    """The shards of a prepared data set.

    Args:
        folder: the data set.
        manifest: its manifest.
        check: `hash` compares a shard's sha256 when it is first opened, `size` does not.
        quarantine: what is known to be damaged; None = a shard with another hash is an error.

    Raises:
        UserError: a shard is missing or has another size than the manifest says.
    """

    def __init__(self, folder: Path, manifest: Manifest, check: str = "hash", quarantine: Quarantine | None = None) -> None:
        if check not in CHECKS:
            raise UserError(f"`check`={check!r} is not one of {', '.join(CHECKS)}{nearest(check, CHECKS)}")
        self._files, self._manifest, self._check = shard_files(folder), manifest, check
        self._quarantine = quarantine
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
                raise self.damage(shard, group, first_line(error), "bytes") from None
            try:
                table = self._decoded(shard, group, columns)
            except UNREADABLE as again:
                raise self.damage(shard, group, first_line(again), "bytes") from None
        if table.num_rows != (rows := rows_of_group(self._manifest, shard, group)):
            raise self.damage(shard, group, f"{table.num_rows} rows instead of {rows}", "rows")
        return table.combine_chunks()

    def damage(self, shard: int, group: int, what: str, rule: Rule) -> DamagedRowGroup:
        """The error to raise for a damaged row group."""
        place = f"{self._place(shard)}, row group {group}"
        return DamagedRowGroup(shard, group, rule, f"{place}: {what}; the data set is damaged, {MEND}")

    def _decoded(self, shard: int, group: int, columns: list[str]) -> pa.Table:
        footer = self._footers(shard)
        if self._quarantine is not None and (rule := self._quarantine.rule(shard, group)) is not None:
            raise self.damage(shard, group, "in quarantine", rule)
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

    def _open(self, shard: int) -> pq.FileMetaData:
        try:
            with self._hold(shard, check=self._check == "hash" and shard not in self._hashed) as path:
                footer = self._footer(shard, path)
        except WrongHash as error:
            if self._quarantine is None:
                raise
            footer = self._blame(shard, self._quarantine, error)
        with self._lock:
            self._hashed.add(shard)
        return footer

    def _blame(self, shard: int, quarantine: Quarantine, error: WrongHash) -> pq.FileMetaData:
        """The footer of a shard with a wrong hash, after its damaged row groups went into quarantine."""
        with self._hold(shard, check=False) as path:
            footer = self._footer(shard, path)
            found = damaged_groups(path, footer, self._manifest, shard)
        if not found:
            raise UserError(f"{error}; no row group is to blame, so that it is the footer, and nothing in the file can be trusted")
        for group, rule in found.items():
            quarantine.mark(self.damage(shard, group, "damaged", rule))
        return footer

    def _footer(self, shard: int, path: Path) -> pq.FileMetaData:
        expected, place = self._manifest.shards[shard], self._place(shard)
        try:
            with pq.ParquetFile(path, memory_map=True) as file:
                footer, schema = file.metadata, file.schema_arrow
        except UNREADABLE as error:
            raise UserError(f"{place} cannot be read: {first_line(error)}; the data set is damaged, {MEND}") from None
        groups = -(-expected.rows // self._manifest.block_rows)
        if (footer.num_rows, footer.num_row_groups) != (expected.rows, groups) or not schema.equals(self._schema):
            raise UserError(f"{place} does not hold the {expected.rows} rows in {groups} row groups of the manifest; {MEND}")
        return footer
