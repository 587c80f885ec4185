"""A user with a million events, and nine of ten events in one file and one row group."""

from __future__ import annotations

import resource

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from tests.support.spark_logs import BASE

MILLION = 1_000_000
MOST_MIB = 600
"""Of this process: it collects no events; a million with all columns would be 100 MiB."""


def test_a_user_of_a_million_events(session, tmp_path):
    """The heap of the session is a gigabyte (conftest)."""
    draw = np.random.default_rng(0)
    rows = MILLION + MILLION // 9
    user = np.where(np.arange(rows) < MILLION, 0, 1 + draw.integers(0, 5000, rows))
    log = pa.table({"user_id": user, "item_id": draw.integers(0, 3000, rows), "timestamp": draw.integers(10**9, 2 * 10**9, rows)})
    pq.write_table(log.slice(0, MILLION), tmp_path / "most.parquet", row_group_size=MILLION)
    pq.write_table(log.slice(MILLION), tmp_path / "rest.parquet")
    options = {**BASE, "sources": (str(tmp_path / "most.parquet"), str(tmp_path / "rest.parquet"))}
    options |= {"history_cap": 2 * MILLION, "block_rows": 4096, "shard_events": 100_000}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = prepare(PrepareConfig(**options, engine="spark"), tmp_path / "spark")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert found.summary["length_quantiles"]["max"] > 0.99 * MILLION
    assert grown < MOST_MIB
    assert prepare(PrepareConfig(**options), tmp_path / "duckdb").digest == found.digest
