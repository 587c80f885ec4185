"""Parquet files of one schema, read from front to back: no more than the requested rows, and no row twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core.errors import UserError, first_line
from ltrec.core.ragged import I64, prefix_sums
from ltrec.data.prepare.readers.sources import find_sources

_READ_ROWS = 1 << 13


@dataclass(frozen=True, slots=True)
class GivenFiles:
    """Files by name.

    Attributes:
        paths: the files.
        labels: what they are called below the argument that named them.
        starts: rows before each of them, and of all [F+1].
        schema: of them all.
    """

    paths: tuple[Path, ...]
    labels: tuple[str, ...]
    starts: I64
    schema: pa.Schema

    @property
    def num_rows(self) -> int:
        """Rows of all files."""
        return int(self.starts[-1])

    def place(self, row: int) -> str:
        """A row for messages: file and row number."""
        file = int(np.searchsorted(self.starts, row, side="right")) - 1
        return f"{self.paths[file]}: row {row - int(self.starts[file]) + 1}"

    def identity(self) -> list[dict[str, Any]]:
        """Name, size and digest of the footer of every file, which holds the offsets and the minima and maxima of all pages."""
        return [
            {"file": label, "bytes": path.stat().st_size, "footer": _footer_digest(path)}
            for path, label in zip(self.paths, self.labels, strict=True)
        ]


def find_given(source: str | Path) -> GivenFiles:
    """A file, all files of a folder, or those that match a pattern.

    Raises:
        UserError: there is none, one is no Parquet, they have different columns, or no rows.
    """
    found = find_sources((str(source),), "auto")
    for file in found:
        if file.format != "parquet":
            raise UserError(f"{file.path} is {file.format}; histories are given as Parquet")
    schemas, rows = zip(*(_schema_and_rows(file.path) for file in found), strict=True)
    for file, schema in zip(found, schemas, strict=True):
        if not schema.equals(schemas[0]):
            raise UserError(f"{file.path} has other columns, or other types, than {found[0].path}")
    if not sum(rows):
        raise UserError(f"{source} holds no rows: there are no users to recommend to")
    starts = prefix_sums(np.array(rows, np.int64))
    return GivenFiles(tuple(f.path for f in found), tuple(f.label for f in found), starts, schemas[0])


class ForwardReader:
    """Reads ranges of rows, in ascending order without overlaps. Row groups without any are skipped.

    Args:
        files: the files.
        columns: those that are read.
    """

    def __init__(self, files: GivenFiles, columns: Sequence[str]) -> None:
        self._files, self._columns = files, list(columns)
        self._file: pq.ParquetFile | None = None
        self._number, self._groups = -1, np.zeros(1, np.int64)
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._batch: pa.RecordBatch | None = None
        self._first, self._next = 0, 0  # first row of the batch, and the first after it, within the file

    def read(self, low: int, high: int) -> pa.Table:
        """Rows low:high of all files.

        Raises:
            UserError: a file is damaged.
        """
        parts = []
        try:
            while low < high:
                number = int(np.searchsorted(self._files.starts, low, side="right")) - 1
                before = int(self._files.starts[number])
                batch = self._batch_with(number, low - before)
                stop = min(high, before + self._next)
                parts.append(batch.slice(low - before - self._first, stop - low))
                low = stop
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{self._files.paths[self._number]} cannot be read: {first_line(error)}") from None
        return pa.Table.from_batches(parts)

    def close(self) -> None:
        """Close the file that is open."""
        if self._file is not None:
            self._file.close()
        self._file, self._number = None, -1

    def _batch_with(self, number: int, row: int) -> pa.RecordBatch:
        """The batch of a file that has a row."""
        if number != self._number:
            self._open(number)
        if self._batch is not None and row < self._next:
            return self._batch
        group = int(np.searchsorted(self._groups, row, side="right")) - 1
        if int(self._groups[group]) > self._next or self._batch is None:
            self._go_to(group)
        while self._batch is None or row >= self._next:
            self._batch = next(self._batches)
            self._first, self._next = self._next, self._next + self._batch.num_rows
        return self._batch

    def _open(self, number: int) -> None:
        self.close()
        self._number = number
        self._file = pq.ParquetFile(self._files.paths[number], page_checksum_verification=True, pre_buffer=False)
        about = self._file.metadata
        self._groups = prefix_sums(np.array([about.row_group(i).num_rows for i in range(about.num_row_groups)], np.int64))[:-1]
        self._batch, self._first, self._next = None, 0, 0

    def _go_to(self, group: int) -> None:
        assert self._file is not None
        wanted = range(group, len(self._groups))
        self._batches = self._file.iter_batches(_READ_ROWS, row_groups=wanted, columns=self._columns, use_threads=False)
        self._batch, self._first, self._next = None, 0, int(self._groups[group])


def _schema_and_rows(path: Path) -> tuple[pa.Schema, int]:
    try:
        with pq.ParquetFile(path) as file:
            return file.schema_arrow.remove_metadata(), file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read as Parquet: {first_line(error)}") from None


def _footer_digest(path: Path) -> str:
    with open(path, "rb") as file:
        file.seek(-8, 2)
        size = int.from_bytes(file.read(4), "little")
        file.seek(-8 - size, 2)
        return hashlib.sha256(file.read(size)).hexdigest()
