"""Logs and options of prepare that both engines are given: every option that changes a byte is in one of the cases."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.columns.kinds.categories import CategoriesConfig
from ltrec.columns.kinds.category import CategoryConfig
from ltrec.columns.kinds.number import NumberConfig
from ltrec.columns.kinds.time import TimeConfig
from ltrec.columns.kinds.vector import VectorConfig
from ltrec.data.prepare.table_config import ItemsConfig, UsersConfig

ROWS = 3000
BASE = {"name": "x", "threads": 1, "block_rows": 16, "shard_events": 900}
COLUMNS = {"kind": CategoryConfig(min_count=3), "price": NumberConfig(log=True), "since": TimeConfig()}


def write_logs(folder: Path) -> None:
    """Two Parquet files (one of several row groups), the same rows as CSV with three bad ones, dates as text, and both tables."""
    draw = np.random.default_rng(1)
    user, item = (np.minimum(draw.exponential(scale, ROWS).astype(int), most) for scale, most in ((40, 199), (30, 149)))
    times = 1_400_000_000 + draw.integers(0, ROWS // 2, ROWS)
    kinds = np.array(["view", "buy", "it's; \\n", None], object)[draw.integers(0, 4, ROWS)]
    prices = [None if missing else float(p) for missing, p in zip(draw.random(ROWS) < 0.2, draw.exponential(9, ROWS), strict=True)]
    since, weight = 86_400 * draw.integers(0, 99, ROWS) + 1_300_000_000, draw.integers(0, 5, ROWS) / 4
    ids = {"user_id": [f"u{u}" for u in user], "item_id": [f"i{i}" for i in item], "timestamp": times}
    log = pa.table({**ids, "kind": kinds.tolist(), "price": prices, "since": since, "conf": weight})
    pq.write_table(log.slice(0, 2000), folder / "a.parquet", row_group_size=300)
    pq.write_table(log.slice(2000), folder / "b.parquet")
    bad = [(None, "i1", 1_400_000_000, "view", 1, 1_300_000_000, 1), ("u1", "i1", "never", "view", 1, 1_300_000_000, 1)]
    bad.append(("u1", "i1", 1_400_000_000, "view", "dear", 1_300_000_000, 1))
    _write_csv(folder / "log.csv", log.column_names, [*(tuple(row.values()) for row in log.to_pylist()), *bad])
    dates = [dt.datetime.fromtimestamp(int(t) % 10**6 * 977, dt.UTC).strftime("%m/%d/%Y %I:%M:%S %p") for t in times]
    dates = [date.replace("1970", "2014") for date in dates]
    _write_csv(folder / "dates.csv", list(ids), list(zip(ids["user_id"], ids["item_id"], dates, strict=True)))
    numbers = pa.table({"user_id": user, "item_id": item, "timestamp": times})
    pq.write_table(numbers.slice(0, 2000), folder / "numbers.parquet")
    pq.write_table(numbers.slice(2000).set_column(1, "item_id", pa.array(ids["item_id"][2000:])), folder / "text.parquet")
    _write_sequences(folder, ids)
    _write_tables(folder)


def _write_sequences(folder: Path, ids: dict) -> None:
    """Two files of a line per user and part of the log, one line without items in the first."""
    events = list(zip(ids["user_id"], ids["item_id"], strict=True))
    for name, part in (("a", events[:2000]), ("b", events[2000:])):
        lines = [" ".join([user, *(item for other, item in part if other == user)]) for user in sorted({user for user, _ in part})]
        (folder / f"{name}.txt").write_text("\n".join([*lines[:50], "lonely", *lines[50:]]) + "\n")


def _write_csv(path: Path, header: list[str], rows: list[tuple]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def _write_tables(folder: Path) -> None:
    numbers = range(20, 190)
    items = {"item_id": [f"i{n}" for n in numbers], "brand": [f"b{n % 7}" for n in numbers]}
    items |= {"tags": [[f"t{n % 3}", f"t{n % 5}"] for n in numbers], "vec": [[float(n), 1.0] for n in numbers]}
    pq.write_table(pa.table(items), folder / "items.parquet")
    users = {"user_id": [f"u{n}" for n in numbers], "age": [n % 60 for n in numbers]}
    users |= {"job": [f"j{n % 7}" if n % 5 else None for n in numbers]}
    pq.write_table(pa.table(users), folder / "users.parquet")


def cases(folder: Path) -> dict[str, dict]:
    """Name -> options of prepare."""
    parquet = {**BASE, "sources": (str(folder / "a.parquet"), str(folder / "b.parquet"))}
    items = {"brand": CategoryConfig(), "tags": CategoriesConfig(), "vec": VectorConfig(width=2)}
    users = {"age": NumberConfig(), "job": CategoryConfig()}
    tables = {
        "items": ItemsConfig(source=str(folder / "items.parquet"), columns=items),
        "users": UsersConfig(source=str(folder / "users.parquet"), columns=users),
    }
    bounds = {"min_user_events": 5, "min_item_events": 8, "history_cap": 20, "held_out_users": 0.2}
    late = {"split": "global_time", "valid_from": "0.7", "test_from": "0.9"}
    purchases = {"targets": {"kind": ("buy", "it's; \\n")}, "strata_by": "targets"}
    text = {"where": "conf > 0 AND kind <> 'buy'", "reject_budget": 0.01}
    untimed = {**BASE, "time": "order", "reject_budget": 0.01}
    return {
        "plain": parquet,
        "filters": {**parquet, **bounds, "duplicates": "keep_first"},
        "hash": {**parquet, **late, "ties": "hash", "duplicates": "keep"},
        "columns": {**parquet, **tables, **purchases, "event_columns": COLUMNS, "weight": "conf", "duplicates": "keep_last"},
        "targets_after": {**parquet, **late, **purchases, "event_columns": COLUMNS},
        "csv": {**BASE, **text, "sources": (str(folder / "log.csv"),), "event_columns": COLUMNS, "weight": "conf"},
        "sequences": {**untimed, "format": "sequences", "sources": (str(folder / "a.txt"), str(folder / "b.txt"))},
        "order": {**untimed, "where": "conf > 0", "sources": (str(folder / "log.csv"), str(folder / "a.parquet"))},
        "numbers": {**BASE, "sources": (str(folder / "numbers.parquet"), str(folder / "text.parquet"))},
        "dates": {**BASE, "sources": (str(folder / "dates.csv"),), "min_user_events": 3},
    }
