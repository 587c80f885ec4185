"""Tables of other libraries: any object that exports an Arrow stream (PyCapsule interface) is read batch by batch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core.errors import UserError


@runtime_checkable
class ArrowStream(Protocol):
    """A table of pyarrow, pandas, polars, DuckDB, ...: https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html"""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export it."""


def is_table(source: object) -> bool:
    """Whether it is a table rather than a path."""
    return isinstance(source, ArrowStream | pa.RecordBatch)


def path_of(source: Any) -> str:
    """The source as a path.

    Raises:
        UserError: it is neither a path nor a table.
    """
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    raise UserError(
        f"a {type(source).__name__} is neither a path nor a table: tables are of pyarrow, or of any library that exports Arrow "
        "streams (pandas, polars, DuckDB)"
    )


def as_table(source: Any) -> pa.Table:
    """The table as pyarrow's, its columns of plain types (no views, no dictionaries)."""
    reader = as_reader(source)
    return pa.Table.from_batches((_plain(batch) for batch in reader), schema=_plain_schema(reader.schema))


def as_reader(source: Any) -> pa.RecordBatchReader:
    """A stream over the table's batches."""
    source = pa.Table.from_batches([source]) if isinstance(source, pa.RecordBatch) else source
    return pa.RecordBatchReader.from_stream(source)


def write_log(source: Any, path: Path) -> None:
    """Write a table as a Parquet file, in its own order, with at most a batch in memory.

    Raises:
        UserError: a column is of a type that Parquet cannot hold.
    """
    reader = as_reader(source)
    schema = _plain_schema(reader.schema)
    try:
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(_plain(batch))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise UserError(f"the table cannot be read as a log: {str(error).partition(chr(10))[0]}") from error


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    schema = _plain_schema(batch.schema)
    return pa.RecordBatch.from_arrays([array.cast(f.type) for array, f in zip(batch.columns, schema, strict=True)], schema=schema)


def _plain_schema(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(f.name, _plain_type(f.type)) for f in schema])


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    return pa.large_string() if pa.types.is_string_view(kind) else kind
