"""A shard whose hash is wrong: which of its row groups are to blame, found by reading all of it.

A hash says that a file is another one, not where. So every column of every row group is read, with page checksums, and rows are
checked. Nothing in the file is trusted, and no row group blamed, where the footer may be what is damaged: no row group fails, or
all pages have their checksums, or those that the footer describes do not fill the file.
"""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.data.manifest import Manifest
from ltrec.data.stream.quarantine.damage import Rule
from ltrec.data.stream.quarantine.pages import all_intact
from ltrec.data.stream.reading.row_checks import UNREADABLE, fault_of_rows, rows_of_group

_MAGIC = 4  # bytes at either end of a file
_TRAILER = 8  # the footer's length, and the magic


def damaged_groups(path: Path, footer: pq.FileMetaData, manifest: Manifest, shard: int) -> dict[int, Rule]:
    """Row group -> the check that it failed; empty if the damage is elsewhere.

    Args:
        path: of the file.
        footer: of the file, with the schema and the numbers of rows and row groups of the manifest.
        manifest: of the data set.
        shard: number of the shard.
    """
    if not _is_in_pages(path, footer):
        return {}
    found: dict[int, Rule] = {}
    for group in range(footer.num_row_groups):
        if (rule := _failed(path, footer, manifest, shard, group)) is not None:
            found[group] = rule
    return found


def unreadable_groups(path: Path, footer: pq.FileMetaData) -> list[int]:
    """Row groups of a file of rows that cannot be decoded; empty if the damage is elsewhere."""
    found = []
    for group in range(footer.num_row_groups) if _is_in_pages(path, footer) else ():
        try:
            with pq.ParquetFile(path, metadata=footer, pre_buffer=False, page_checksum_verification=True) as file:
                file.read_row_group(group, use_threads=False)
        except UNREADABLE:
            found.append(group)
    return found


def _failed(path: Path, footer: pq.FileMetaData, manifest: Manifest, shard: int, group: int) -> Rule | None:
    try:
        with pq.ParquetFile(path, metadata=footer, pre_buffer=False, page_checksum_verification=True) as file:
            table: pa.Table = file.read_row_group(group, use_threads=False).combine_chunks()
    except UNREADABLE:
        return "bytes"
    if table.num_rows != rows_of_group(manifest, shard, group):
        return "rows"
    return "values" if fault_of_rows(table, manifest, shard) else None


def _is_in_pages(path: Path, footer: pq.FileMetaData) -> bool:
    """Whether the damage is in the pages: one has another checksum, and the footer describes them as they lie in the file."""
    with open(path, "rb") as handle:
        handle.seek(-_TRAILER, os.SEEK_END)
        size = handle.tell()
        end = size - int.from_bytes(handle.read(_MAGIC), "little")
        if end != _end_of_chunks(footer):
            return False
        handle.seek(_MAGIC)
        return not all_intact(handle.read(end - _MAGIC))


def _end_of_chunks(footer: pq.FileMetaData) -> int | None:
    """Where the last column chunk ends, if they follow one another from the beginning of the file; else None."""
    at = _MAGIC
    for group in range(footer.num_row_groups):
        for column in range(footer.num_columns):
            chunk = footer.row_group(group).column(column)
            if at != (chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset):
                return None
            at += chunk.total_compressed_size
    return at
