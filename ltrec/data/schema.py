"""Arrow schemas of the on-disk format, version 1. All fields are required: no null bitmaps, zero-copy reads (data-layer §3).

DIR/manifest.json                          commit point, written last
DIR/vocab/items-<sha>.parquet              raw item id -> dense id, by falling training count
DIR/stratum=0/part-00000-<sha>.parquet     users with something to train on (>= 2 training events)
DIR/stratum=0/rest-00000-<sha>.parquet     users of the stratum with a single training event: evaluated, never trained on
DIR/stratum=none/rest-00000-<sha>.parquet  users without training events (held-out users, and those who came after the cut)
DIR/reach/reach-<sha>.parquet              how far users' targets are from their histories
DIR/_rejects/rejects-<sha>.parquet         malformed rows with file, row and reason
DIR/.preparing/                            only while a data set is prepared, or was when the process was killed

Every name but the manifest's carries a hash of the contents, so that a new data set can lie beside the old one until the manifest
is replaced.
"""

from __future__ import annotations

import pyarrow as pa

from ltrec.core import columns as c

FORMAT_VERSION = 1
WORK = ".preparing"
OVER_BUDGET = "_rejects/over-budget.parquet"
OWN_FILES = (
    "vocab/items*.parquet",
    "reach/reach*.parquet",
    "_rejects/rejects*.parquet",
    OVER_BUDGET,
    "stratum=*/part-*.parquet",
    "stratum=*/rest-*.parquet",
)
"""Files that prepare may have written beside a manifest."""


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
