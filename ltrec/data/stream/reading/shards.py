"""Reading shards by row group, verified down to the page checksums.

A shard is checked when it is first opened (size, sha256, schema, row groups), and its footer is kept. Every row group is read here.
Files of a folder stay open. A shard in a store is downloaded when it is opened, and opened again for every read, so that the cache
may remove it; damage of its copy on this node is mended by another one.
Damage that remains is an error, `DamagedRowGroup` where it lies in a row group; with a quarantine it is remembered, and not read
again.

A row group of a shard with layers is put together from row groups of these files, which are checked and read in the same way;
damage in one of them is damage of all row groups that take rows from there.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core.errors import UserError, first_line, nearest
from ltrec.data.manifest import MEND, Layer, Manifest, Shard
from ltrec.data.remote.folder import shard_files
from ltrec.data.remote.shard_files import WrongHash
from ltrec.data.row_list import RowList, read_row_list
from ltrec.data.schema import shard_schema
from ltrec.data.stream.config import CHECKS
from ltrec.data.stream.quarantine.damage import DamagedRowGroup, Rule
from ltrec.data.stream.quarantine.quarantine import Place, Quarantine
from ltrec.data.stream.quarantine.whole_shard import damaged_groups, unreadable_groups
from ltrec.data.stream.reading.lru_cache import LruCache
from ltrec.data.stream.reading.open_files import OpenFiles, opened
from ltrec.data.stream.reading.row_checks import UNREADABLE, rows_of_group

_GROUPS_KEPT = 4096
"""Row groups of all footers that are kept: each takes 9 KiB of memory, and 3 microseconds to read again."""
_LISTS_KEPT = 1024


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
        self._footers: LruCache[int, pq.FileMetaData] = LruCache(self._open, keep=_GROUPS_KEPT, weigh=_row_groups)
        self._lists: LruCache[int, RowList] = LruCache(self._row_list, keep=_LISTS_KEPT)
        self._open_files = OpenFiles()
        self._hashed: set[int] = set()
        self._lock = Lock()
        self._row_files: tuple[Shard | Layer, ...] = manifest.row_files  # numbered: shards, then layers
        self._files.refuse_missing((file.path, file.bytes) for file in self._row_files)

    @property
    def downloads(self) -> int:
        """Shards to get at the same time ahead of their use; 0 = they are here."""
        return self._files.downloads

    def get(self, shard: int) -> None:
        """Have a shard on this node, if it is not: `read` finds it there. What fails will fail again in `read`."""
        with suppress(UserError, OSError):
            for number in (shard, *self._layers(shard)):
                file = self._row_files[number]
                self._files.get(file.path, file.bytes, file.sha256)

    def read(self, shard: int, group: int, columns: list[str]) -> pa.Table:
        """One row group, with one Arrow chunk per column.

        Raises:
            UserError: the bytes are not those that were written; the message names shard and row group.
        """
        if not (layers := self._layers(shard)):
            return _in_single_chunks(self._read_file(shard, group, columns, (shard, group)))
        low = group * self._manifest.block_rows
        sizes = [self._manifest.layers[number].block_rows for number in self._manifest.shards[shard].layers]
        high = low + rows_of_group(self._manifest, shard, group)
        found = self._lists(shard).table(
            low, high, sizes, lambda layer, own: self._read_file(layers[layer], own, columns, (shard, group))
        )
        return _in_single_chunks(found)

    def damage(self, shard: int, group: int, what: str, rule: Rule, file: int | None = None) -> DamagedRowGroup:
        """The error to raise for a damaged row group; `file` is the one at fault, if it is not the shard's own."""
        place = f"{self._place(shard)}, row group {group}"
        if file not in (None, shard):
            place = f"{self._place(file)}, of which row group {group} of {self._manifest.shards[shard].path} takes rows"
        return DamagedRowGroup(shard, group, rule, f"{place}: {what}; the data set is damaged, {MEND}")

    def _layers(self, shard: int) -> list[int]:
        """Numbers of the files that a shard takes rows from."""
        return [len(self._manifest.shards) + number for number in self._manifest.shards[shard].layers]

    def _read_file(self, file: int, group: int, columns: list[str], wanted: Place) -> pa.Table:
        """A row group of a file, which the row group `wanted` of a shard needs; damage of a copy is mended once."""
        try:
            table = self._decoded(file, group, columns, wanted)
        except UNREADABLE as error:
            expected = self._row_files[file]
            if not self._files.refetch(expected.path, expected.sha256):
                raise self.damage(*wanted, first_line(error), "bytes", file) from None
            try:
                table = self._decoded(file, group, columns, wanted)
            except UNREADABLE as again:
                raise self.damage(*wanted, first_line(again), "bytes", file) from None
        if table.num_rows != (rows := self._rows_of_group(file, group)):
            raise self.damage(*wanted, f"{table.num_rows} rows instead of {rows}", "rows", file)
        return table

    def _decoded(self, file: int, group: int, columns: list[str], wanted: Place) -> pa.Table:
        footer = self._footers(file)
        if self._quarantine is not None and (rule := self._quarantine.rule(*wanted)) is not None:
            raise self.damage(*wanted, "in quarantine", rule)
        with self._hold(file, check=False) as path:
            if self.downloads:
                with opened(path, footer) as reader:
                    return reader.read_row_group(group, columns=columns, use_threads=False)
            try:
                return self._open_files.of(path, footer).read_row_group(group, columns=columns, use_threads=False)
            except UNREADABLE:
                self._open_files.close(path)
                raise

    def _hold(self, file: int, *, check: bool) -> AbstractContextManager[Path]:
        expected = self._row_files[file]
        return self._files.hold(expected.path, expected.bytes, expected.sha256, check=check)

    def _place(self, file: int) -> str:
        return self._files.place(self._row_files[file].path)

    def _block_rows(self, file: int) -> int:
        expected = self._row_files[file]
        return expected.block_rows if isinstance(expected, Layer) else self._manifest.block_rows

    def _rows_of_group(self, file: int, group: int) -> int:
        size = self._block_rows(file)
        return min(size, self._row_files[file].rows - group * size)

    def _row_list(self, shard: int) -> RowList:
        with self._hold(shard, check=self._check == "hash") as path:
            return read_row_list(path, self._manifest.shards[shard], self._manifest)

    def _open(self, file: int) -> pq.FileMetaData:
        try:
            with self._hold(file, check=self._check == "hash" and file not in self._hashed) as path:
                footer = self._footer(file, path)
        except WrongHash as error:
            if self._quarantine is None:
                raise
            footer = self._blame(file, self._quarantine, error)
        with self._lock:
            self._hashed.add(file)
        return footer

    def _blame(self, file: int, quarantine: Quarantine, error: WrongHash) -> pq.FileMetaData:
        """The footer of a file with a wrong hash, after the damaged row groups went into quarantine."""
        with self._hold(file, check=False) as path:
            footer = self._footer(file, path)
            if file < len(self._manifest.shards):
                found = {(file, group): rule for group, rule in damaged_groups(path, footer, self._manifest, file).items()}
            else:
                found = dict.fromkeys(self._places_of(file, unreadable_groups(path, footer)), "bytes")
        if not found:
            raise UserError(
                f"{error}; no row group is to blame, so that it may be the footer, and nothing in the file can be trusted"
            )
        for place, rule in found.items():
            quarantine.mark(self.damage(*place, "damaged", rule, file))
        return footer

    def _places_of(self, file: int, groups: list[int]) -> list[Place]:
        """The row groups of shards that take rows from these row groups of a layer."""
        found = set[Place]()
        for shard in range(len(self._manifest.shards)):
            if file in (layers := self._layers(shard)):
                layer_R, row_R = self._lists(shard).expanded()
                hit = (layer_R == layers.index(file)) & np.isin(row_R // self._block_rows(file), groups)
                found |= {(shard, group) for group in np.unique(np.flatnonzero(hit) // self._manifest.block_rows).tolist()}
        return sorted(found)

    def _footer(self, file: int, path: Path) -> pq.FileMetaData:
        expected, place = self._row_files[file], self._place(file)
        try:
            with pq.ParquetFile(path, memory_map=True) as reader:
                footer, schema = reader.metadata, reader.schema_arrow
        except UNREADABLE as error:
            raise UserError(f"{place} cannot be read: {first_line(error)}; the data set is damaged, {MEND}") from None
        groups = -(-expected.rows // self._block_rows(file))
        if (footer.num_rows, footer.num_row_groups) != (expected.rows, groups) or not schema.equals(self._schema):
            raise UserError(f"{place} does not hold the {expected.rows} rows in {groups} row groups of the manifest; {MEND}")
        return footer


def _row_groups(footer: pq.FileMetaData) -> int:
    """What a footer weighs; one without row groups takes memory, too."""
    return 1 + int(footer.num_row_groups)


def _in_single_chunks(table: pa.Table) -> pa.Table:
    return table if all(column.num_chunks == 1 for column in table.columns) else table.combine_chunks()
