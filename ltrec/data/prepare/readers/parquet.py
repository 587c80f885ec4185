"""Parquet: the columns asked for, batch by batch, page checksums verified where the file has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.readers.ids import id_text
from ltrec.data.prepare.readers.table import OnFault
from ltrec.data.prepare.sources import Source

BATCH_ROWS = 1 << 17


def parquet_names(source: Source, config: PrepareConfig) -> Sequence[str]:
    """Names of the top-level columns."""
    with pq.ParquetFile(source.path) as file:
        return list(file.schema_arrow.names)


def read_parquet(source: Source, config: PrepareConfig, chosen: Mapping[str, int], on_fault: OnFault) -> Iterator[pa.RecordBatch]:
    """Batches of one Parquet file; ids as text or bytes, times as numbers, text or timestamps, other columns as they are."""
    with pq.ParquetFile(source.path, page_checksum_verification=True) as file:
        names = file.schema_arrow.names
        first = 1
        for batch in file.iter_batches(BATCH_ROWS, columns=[names[place] for place in chosen.values()], use_threads=False):
            rows = pa.array(range(first, first + batch.num_rows), pa.int64())
            first += batch.num_rows
            columns = {name: _typed(name, batch[names[place]], source) for name, place in chosen.items()}
            yield pa.RecordBatch.from_pydict({"row": rows, **columns})


def _typed(name: str, column: pa.Array, source: Source) -> pa.Array:
    column = column.dictionary_decode() if types.is_dictionary(column.type) else column
    if name == "time":
        return _time(column, source)
    return id_text(column, f"{source.path}: the {name.removesuffix('_id')} column") if name in ("user_id", "item_id") else column


def _time(column: pa.Array, source: Source) -> pa.Array:
    """Times as int64, float64, text or UTC timestamps in microseconds."""
    kind = column.type
    if types.is_timestamp(kind) or types.is_date(kind):
        return column.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False).cast(pa.timestamp("us", "UTC"))
    if types.is_integer(kind):
        return column.cast(pa.int64(), safe=kind != pa.uint64())
    if types.is_floating(kind) or types.is_decimal(kind):
        return column.cast(pa.float64())
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return column.cast(pa.string())
    raise UserError(f"{source.path}: the time column has type {kind}; times must be numbers, text or timestamps")
