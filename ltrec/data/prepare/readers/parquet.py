"""Parquet: the requested columns, batch by batch; page checksums are verified if the file has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.readers.ids import typed_ids
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.readers.table import OnBadRow
from ltrec.data.prepare.times.columns import readable

BATCH_ROWS, LIST_ROWS = 1 << 17, 1 << 13
"""Rows read at a time, and where a column holds lists: a vector may be thousands of numbers."""


def parquet_names(source: InputFile, config: PrepareConfig) -> Sequence[str]:
    """Names of the top-level columns."""
    with pq.ParquetFile(source.path) as file:
        return list(file.schema_arrow.names)


def read_parquet(
    source: InputFile, config: PrepareConfig, names: Sequence[str], chosen: Mapping[str, int], on_bad_row: OnBadRow
) -> Iterator[pa.RecordBatch]:
    """Batches of one Parquet file; ids as int64, text or bytes, times as numbers, text or timestamps, other columns as they are."""
    with pq.ParquetFile(source.path, page_checksum_verification=True, pre_buffer=False) as file:  # else the file is held whole
        wanted = [names[place] for place in chosen.values()]
        begin, end = source.groups or (0, file.num_row_groups)
        first = 1 + sum(file.metadata.row_group(group).num_rows for group in range(begin))
        for batch in file.iter_batches(_batch_rows(file, wanted), row_groups=range(begin, end), columns=wanted, use_threads=False):
            rows = pa.array(np.arange(first, first + batch.num_rows))
            first += batch.num_rows
            columns = {name: _typed(name, batch[names[place]], source) for name, place in chosen.items()}
            yield pa.RecordBatch.from_pydict({"row": rows, **columns})


def _batch_rows(file: pq.ParquetFile, wanted: Sequence[str]) -> int:
    return LIST_ROWS if any(types.is_nested(file.schema_arrow.field(name).type) for name in wanted) else BATCH_ROWS


def _typed(name: str, column: pa.Array, source: InputFile) -> pa.Array:
    column = column.dictionary_decode() if types.is_dictionary(column.type) else column
    if name == "time":
        return readable(column, f"{source.path}: the time column")
    return typed_ids(column, f"{source.path}: the {name.removesuffix('_id')} column") if name in ("user_id", "item_id") else column
