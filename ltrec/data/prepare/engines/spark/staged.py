"""The rows that were read, while the form of their times is chosen; conditions are DuckDB's, evaluated in the executors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from ltrec.data.prepare.engines.spark.partition import queried
from ltrec.data.prepare.engines.spark.tables import SparkTables


class SparkStaged:
    """See `Staged`.

    Args:
        tables: with the table `staged`.
        schema: of its rows.
    """

    def __init__(self, tables: SparkTables, schema: pa.Schema) -> None:
        self._tables, self._schema = tables, schema

    def count(
        self, conditions: Sequence[str], where: str = "true", unless: str = "", *, sample: int = 0, first: int = 0
    ) -> list[int]:
        """Sums over the batches; the first rows of the log are the sample."""
        if not conditions:
            return []
        frame = self._rows(where)
        if sample or first:
            frame = frame.orderBy("file", "row").limit(sample or first)
        names = [f"n{number}" for number in range(len(conditions))]
        listed = ", ".join(f"count(*) FILTER (WHERE {what}) AS {name}" for what, name in zip(conditions, names, strict=True))
        schema = pa.schema([(name, pa.int64()) for name in names])
        sums = queried(frame, f"SELECT {listed} FROM batch WHERE NOT ({unless or 'false'})", schema)
        (row,) = sums.groupBy().sum(*names).collect()
        return [int(value or 0) for value in row]

    def first(self, expression: str, where: str = "true") -> Any:
        """In the order of the log."""
        one = pa.schema([("file", pa.int32()), ("row", pa.int64()), ("value", pa.string())])
        query = f"SELECT file, row, ({expression})::VARCHAR AS value FROM batch WHERE reason IS NULL AND ({where})"
        found = queried(self._tables.session.table("staged"), query, one).orderBy("file", "row").limit(1).collect()
        return found[0]["value"] if found else None

    def convert(self, values: Mapping[str, str], where: str) -> None:
        """A new table."""
        types = {"number": "BIGINT", "fraction": "BIGINT", "iso": "BOOLEAN"}
        new = ", ".join(
            f"(CASE WHEN {where} THEN {value} ELSE {name} END)::{types[name]} AS {name}" for name, value in values.items()
        )
        frame = queried(self._tables.session.table("staged"), f"SELECT * REPLACE ({new}) FROM batch", self._schema)
        self._tables.renew("staged", frame)

    def _rows(self, where: str) -> DataFrame:
        frame = self._tables.session.table("staged")
        return queried(frame, f"SELECT * FROM batch WHERE reason IS NULL AND ({where})", self._schema)
