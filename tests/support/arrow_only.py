"""A table of some other library: all that is known of it is that it exports an Arrow stream."""

from __future__ import annotations

import pyarrow as pa


class ArrowOnly:
    """As polars or DuckDB give one; neither is needed for the tests."""

    def __init__(self, columns, batches: int = 3) -> None:
        table = pa.table(columns)
        self._table, self._rows = table, max(1, -(-table.num_rows // batches))

    def __arrow_c_stream__(self, requested_schema=None):
        batches = self._table.to_batches(max_chunksize=self._rows)
        return pa.RecordBatchReader.from_batches(self._table.schema, batches).__arrow_c_stream__(requested_schema)
