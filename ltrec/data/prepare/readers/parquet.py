"""Parquet: three columns, batch by batch, page checksums verified where the file has them."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.readers.table import OnFault, decode, find_column, wanted_columns
from ltrec.data.prepare.sources import Source

BATCH_ROWS = 1 << 17


def read_parquet(source: Source, config: PrepareConfig, on_fault: OnFault) -> Iterator[pa.RecordBatch]:
    """Batches of one Parquet file; ids may be text or numbers, times numbers, text, dates or timestamps."""
    with pq.ParquetFile(source.path, page_checksum_verification=True) as file:
        chosen = [find_column(wanted, file.schema_arrow.names, source.path) for wanted in wanted_columns(config).values()]
        first = 1
        for batch in file.iter_batches(BATCH_ROWS, columns=chosen, use_threads=False):
            rows = pa.array(range(first, first + batch.num_rows), pa.int64())
            first += batch.num_rows
            yield _typed(batch, rows, chosen, source, on_fault)


def _typed(batch: pa.RecordBatch, rows: pa.Array, chosen: list[str], source: Source, on_fault: OnFault) -> pa.RecordBatch:
    user, user_kept = _id(batch[chosen[0]], rows, "user", source, on_fault)
    item, item_kept = _id(batch[chosen[1]], rows, "item", source, on_fault)
    result = pa.RecordBatch.from_pydict({"row": rows, "user_id": user, "item_id": item, "time": _time(batch[chosen[2]], source)})
    kept = [k for k in (user_kept, item_kept) if k is not None]
    return result.filter(pa.array([all(row) for row in zip(*kept, strict=True)])) if kept else result


def _id(column: pa.Array, rows: pa.Array, what: str, source: Source, on_fault: OnFault) -> tuple[pa.Array, list[bool] | None]:
    """Ids as text. Whole numbers stored as floats (pandas does so beside a missing value) lose their ``.0``."""
    column = _plain(column)
    kind = column.type
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return decode(column.cast(pa.binary()), rows, what, on_fault)
    if types.is_floating(kind):
        column = pc.if_else(pc.is_finite(column), column, None).cast(pa.float64())
        whole = pc.and_(pc.equal(column, pc.floor(column)), pc.less(pc.abs(column), 2.0**53))
        return pc.if_else(whole, column.cast(pa.int64(), safe=False).cast(pa.string()), column.cast(pa.string())), None
    if not (types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)):
        raise UserError(f"{source.path}: the {what} column has type {kind}; ids must be text or numbers")
    return column.cast(pa.string()), None


def _time(column: pa.Array, source: Source) -> pa.Array:
    """Times as int64, float64, text or UTC timestamps in microseconds."""
    column = _plain(column)
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


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if types.is_dictionary(column.type) else column
