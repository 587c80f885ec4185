"""Arrow schemas of the on-disk format, version 1, 2 where a data set has columns, and 3 where shards have layers.

All fields are non-nullable, which allows zero-copy reads without null bitmaps (data-layer §3).

DIR/manifest.json                          commit point, written last
DIR/vocab/items-<sha>.parquet              raw item id -> dense id, by descending training count
DIR/items/items-<sha>.parquet              columns of items, one row per item, ordered by id
DIR/columns/<role>-<name>-<sha>.parquet    values of a categorical column, ordered by id
DIR/stratum=0/part-00000-<sha>.parquet     users with something to train on (>= 2 training events)
DIR/stratum=0/rest-00000-<sha>.parquet     users of the stratum with a single training event: evaluated, not trained on
DIR/stratum=0/part-00000-<sha>.rows.parquet  a shard that takes rows from several files, after an append: the list of these rows
DIR/stratum=none/rest-00000-<sha>.parquet  users without training events (held-out users, and those who came after the cut)
DIR/reach/reach-<sha>.parquet              how far users' targets are from their histories
DIR/_rejects/rejects-<sha>.parquet         malformed rows of the log with file, row, reason and content
DIR/_rejects/rejects-items-<sha>.parquet   those of the table of items; rejects-users-<sha>.parquet, of users
DIR/.preparing/                            only while a data set is being prepared, or after the process was killed

Every name but the manifest's contains a hash of the contents, so that the files of a new data set can be next to the old ones until
the manifest is replaced.
"""

from __future__ import annotations

import pyarrow as pa

from ltrec.columns.kinds import kind_of_column
from ltrec.columns.schema import Column, Schema
from ltrec.core import columns as c

FORMAT_VERSION = 1
"""Format version of a data set without columns."""
COLUMNS_VERSION = 2
"""Format version of a data set with columns."""
LAYERS_VERSION = 3
"""Format version of a data set that was appended to, if it has shards that take rows from several files."""
WORK = ".preparing"
OVER_BUDGET = "_rejects/over-budget.parquet"
OWN_FILES = (
    "vocab/items*.parquet",
    "items/items*.parquet",
    "columns/*.parquet",
    "reach/reach*.parquet",
    "_rejects/rejects*.parquet",
    OVER_BUDGET,
    "stratum=*/part-*.parquet",
    "stratum=*/rest-*.parquet",
)
"""Patterns of the files that prepare writes next to a manifest."""


def _required_list(value_type: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", value_type, nullable=False))


SHARD_SCHEMA = pa.schema(
    [
        pa.field(c.USER_ID, pa.string(), nullable=False),
        pa.field(c.USER_KEY, pa.int64(), nullable=False),
        pa.field(c.STRATUM, pa.int8(), nullable=False),
        pa.field(c.ACTIVITY, pa.int32(), nullable=False),
        pa.field(c.TRAIN_EVENTS, pa.int32(), nullable=False),
        pa.field(c.VALID_AT, pa.int32(), nullable=False),
        pa.field(c.TEST_AT, pa.int32(), nullable=False),
        pa.field(c.ITEMS, _required_list(pa.int32()), nullable=False),
        pa.field(c.TIMES, _required_list(pa.int64()), nullable=False),
    ]
)

VOCAB_SCHEMA = pa.schema(
    [
        pa.field(c.ITEM, pa.int32(), nullable=False),
        pa.field(c.ITEM_ID, pa.string(), nullable=False),
        pa.field(c.TRAIN_COUNT, pa.int64(), nullable=False),
    ]
)

VALUES_SCHEMA = pa.schema(
    [
        pa.field(c.ID, pa.int32(), nullable=False),
        pa.field(c.VALUE, pa.string(), nullable=False),
        pa.field(c.COUNT, pa.int64(), nullable=False),
    ]
)
"""Schema of the file of a categorical column."""


ROW_LIST_SCHEMA = pa.schema(
    [
        pa.field(c.LAYER, pa.int32(), nullable=False),
        pa.field(c.FIRST, pa.int64(), nullable=False),
        pa.field(c.ROWS, pa.int64(), nullable=False),
    ]
)
"""Schema of a list of rows: runs of neighbouring rows of a layer; layers are numbered as in the shard."""


def shard_schema(columns: Schema) -> pa.Schema:
    """Schema of the shards of a data set with these columns."""
    schema = SHARD_SCHEMA
    for column in columns.of("event").values():
        schema = schema.append(pa.field(c.EVENT + column.name, _required_list(storage_of(column)), nullable=False))
    if columns.weight:
        schema = schema.append(pa.field(c.WEIGHT, _required_list(pa.float32()), nullable=False))
    for column in columns.of("user").values():
        schema = schema.append(pa.field(c.USER + column.name, storage_of(column), nullable=False))
    return schema


def items_schema(columns: Schema) -> pa.Schema:
    """Schema of the table of items: the id and the item columns."""
    own = [pa.field(column.name, storage_of(column), nullable=False) for column in columns.of("item").values()]
    return pa.schema([pa.field(c.ITEM, pa.int32(), nullable=False), *own])


def storage_of(column: Column) -> pa.DataType:
    """Type of one stored value."""
    return kind_of_column(column).storage
