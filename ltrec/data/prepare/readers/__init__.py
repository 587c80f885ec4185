"""Readers: one event log file to Arrow batches of (row, user_id, item_id, time), in file order, in bounded memory.

Malformed rows are reported to `on_fault` with their row number and never stop the reading; a file that cannot be read as a whole
(truncated, a missing column) raises UserError. `row` is the record's number in its file: from 1 in Parquet, the line in text files
(a header is line 1, blank lines do not count).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.readers.json_lines import read_json_lines
from ltrec.data.prepare.readers.parquet import read_parquet
from ltrec.data.prepare.readers.table import OnFault
from ltrec.data.prepare.readers.text import read_csv, read_tsv
from ltrec.data.prepare.sources import Source


class Reader(Protocol):
    """Yield batches with columns row (int64), user_id, item_id (text, nullable) and time (text, number or timestamp, nullable)."""

    def __call__(self, source: Source, config: PrepareConfig, on_fault: OnFault) -> Iterator[pa.RecordBatch]:
        """Read one file."""
        ...


READERS: dict[str, Reader] = {"csv": read_csv, "tsv": read_tsv, "jsonl": read_json_lines, "parquet": read_parquet}


def read(source: Source, config: PrepareConfig, on_fault: OnFault) -> Iterator[pa.RecordBatch]:
    """Batches of one source.

    Raises:
        UserError: the file is damaged, empty of columns, or lacks a column that was asked for.
    """
    try:
        yield from READERS[source.format](source, config, on_fault)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{source.path} cannot be read as {source.format}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


__all__ = ["READERS", "OnFault", "Reader", "read"]
