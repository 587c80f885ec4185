"""Code that runs in the executors: DuckDB's expressions on Arrow batches. It is sent by name, so ltrec is installed there too."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    ByteType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    StructField,
    StructType,
)

from ltrec.data.prepare.database import small_database

Batches = Iterator[pa.RecordBatch]

_TYPES: dict[pa.DataType, DataType] = {
    pa.int64(): LongType(),
    pa.int32(): IntegerType(),
    pa.int16(): ShortType(),
    pa.int8(): ByteType(),
    pa.float64(): DoubleType(),
    pa.float32(): FloatType(),
    pa.bool_(): BooleanType(),
    pa.string(): StringType(),
    pa.binary(): BinaryType(),
}


def spark_schema(schema: pa.Schema) -> StructType:
    """An Arrow schema in Spark's terms."""
    return StructType([StructField(field.name, _TYPES[field.type]) for field in schema])


def mapped(frame: DataFrame, run: Callable[[Batches], Batches], schema: pa.Schema | StructType) -> DataFrame:
    """The frame through a function from batches to batches of this schema."""
    names = list(frame.columns)

    def named(batches: Batches) -> Batches:
        return run(batch.rename_columns(names) for batch in batches)

    numbered = frame.toDF(*(f"c{number}" for number in range(len(names))))  # mapInArrow would look for a column b of event.b
    return numbered.mapInArrow(named, schema if isinstance(schema, StructType) else spark_schema(schema))


def queried(frame: DataFrame, query: str, schema: pa.Schema) -> DataFrame:
    """The rows that DuckDB's query on the relation `batch` gives for every batch; they are cast to the schema."""

    def run(batches: Batches) -> Batches:
        with small_database() as database:
            for batch in batches:
                database.register("batch", pa.Table.from_batches([batch]))
                found = database.sql(query).to_arrow_table()
                database.unregister("batch")
                yield from found.cast(schema).to_batches()

    return mapped(frame, run, schema)


def extended(frame: DataFrame, expressions: dict[str, str]) -> DataFrame:
    """The frame with further BIGINT columns, computed from its rows by DuckDB's expressions."""
    listed = ", ".join(f"({what})::BIGINT AS {name}" for name, what in expressions.items())

    def run(batches: Batches) -> Batches:
        with small_database() as database:
            for batch in batches:
                database.register("batch", pa.Table.from_batches([batch]))
                found = database.sql(f"SELECT {listed} FROM batch").to_arrow_table().combine_chunks()
                database.unregister("batch")
                more = [found[name].combine_chunks() for name in expressions]
                own = [column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column for column in more]
                yield pa.RecordBatch.from_arrays([*batch.columns, *own], [*batch.schema.names, *expressions])

    return mapped(frame, run, StructType([*frame.schema.fields, *(StructField(name, LongType()) for name in expressions)]))
