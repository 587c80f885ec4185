"""CSV and TSV. csv: comma, double quotes may hold separators and newlines; tsv: tab, no quoting.

pyarrow parses, single-threaded, because only then it numbers the malformed rows. It drops the rest of the file *silently* when a
quoted field never closes (pyarrow 26), so a sentinel record is appended to the stream: if it does not come out, the tail was lost.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.readers.table import OnFault, batch_of_text, find_column, wanted_columns
from ltrec.data.prepare.sources import Source

BLOCK_BYTES = 4 << 20
SENTINEL = b"\x1e\x1eltrec-end-of-file\x1e\x1e"


def read_csv(source: Source, config: PrepareConfig, on_fault: OnFault) -> Iterator[pa.RecordBatch]:
    """Comma-separated text with quoting (RFC 4180)."""
    return _read(source, config, on_fault, delimiter=config.delimiter or ",", quote='"')


def read_tsv(source: Source, config: PrepareConfig, on_fault: OnFault) -> Iterator[pa.RecordBatch]:
    """Tab-separated text without quoting."""
    return _read(source, config, on_fault, delimiter=config.delimiter or "\t", quote=None)


def _read(source: Source, config: PrepareConfig, on_fault: OnFault, delimiter: str, quote: str | None) -> Iterator[pa.RecordBatch]:
    names = list(config.columns) or _header(source, delimiter, quote)
    chosen = {name: find_column(wanted, names, source.path) for name, wanted in wanted_columns(config).items()}
    faults = Faults(on_fault)
    with pa.input_stream(str(source.path), compression="detect") as raw:
        reader = pa_csv.open_csv(
            pa.PythonFile(WithSentinel(raw), mode="r"),
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=list(config.columns) or None),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter, quote_char=quote or False, newlines_in_values=quote is not None, invalid_row_handler=faults
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={n: pa.binary() for n in chosen.values()},
                include_columns=list(chosen.values()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
        next_row = 1 if config.columns else 2
        for batch in reader:
            rows = faults.number(next_row, batch.num_rows)
            next_row = int(rows[-1]) + 1 if len(rows) else next_row
            yield batch_of_text(pa.array(rows), {name: batch[column] for name, column in chosen.items()}, on_fault)
    if not faults.complete:
        raise UserError(f"{source.path}: a quoted field that opens after record {next_row - 1} never closes")


def _header(source: Source, delimiter: str, quote: str | None) -> list[str]:
    with pa.input_stream(str(source.path), compression="detect") as raw:
        head = raw.read(1 << 16).decode("utf-8-sig", errors="replace").lstrip("\r\n")
    quoting: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    names = next(csv.reader(io.StringIO(head), delimiter=delimiter, **quoting), [])
    if not names:
        raise UserError(f"{source.path} is empty: it has no header line")
    return names


class Faults:
    """Collects malformed records and numbers the good ones around them."""

    def __init__(self, on_fault: OnFault) -> None:
        self.on_fault = on_fault
        self.complete = False
        self.numbers: list[int] = []

    def __call__(self, row: pa_csv.InvalidRow) -> str:
        """Called by the parser for a record with the wrong number of fields."""
        if row.text.encode("utf-8", "replace") == SENTINEL:
            self.complete = True
        else:
            self.numbers.append(row.number)
            self.on_fault(row.number, f"{row.actual_columns} fields instead of {row.expected_columns}", row.text)
        return "skip"

    def number(self, first: int, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The next `count` record numbers from `first` on that are not faults; the parser reads ahead."""
        pending = np.array([n for n in self.numbers if n >= first], dtype=np.int64)
        self.numbers = pending.tolist()
        return np.setdiff1d(np.arange(first, first + count + len(pending)), pending)[:count]


class WithSentinel(io.RawIOBase):
    """A byte stream with one more record at its end."""

    def __init__(self, raw: pa.NativeFile) -> None:
        self.raw = raw
        self.tail = b"\n" + SENTINEL + b"\n"

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes of the stream, then the sentinel."""
        block: bytes = self.raw.read(size) if size > 0 else self.raw.read()
        if len(block) == 0 or size <= 0:
            block, self.tail = block + self.tail, b""
        return block
