"""`where`: rows selected by a condition, in every format, and nothing but a condition."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.prepare.readers import Where, lines
from ltrec.data.verify.dataset import verify
from tests.support.logs import read_log

EVENTS = ["view", "purchase", "view", "purchase", None, "purchase", "cart", "view"]
PRICES = [9, 10, 11, 2, 5, None, 100, 12]
COLUMNS = {"user_id": list("aabbccdd"), "item_id": list("xyxyxyxy"), "timestamp": list(range(8)), "event": EVENTS, "price": PRICES}


def write(folder, suffix, columns=COLUMNS):
    path = folder / f"log.{suffix}"
    table = pa.table(columns)
    if suffix == "parquet":
        pq.write_table(table, path)
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n" for row in table.to_pylist()))
    else:
        rows = [columns, *zip(*columns.values(), strict=True)]
        path.write_text("".join(",".join("NA" if v is None else str(v) for v in row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("condition", "selected"),
    [
        ('event == "purchase"', [1, 3, 5]),
        ("event = 'purchase' AND price >= 10", [1]),
        ("price > 9", [1, 2, 6, 7]),
        ('"price" > 9 and event in ("view", "cart")', [2, 6, 7]),
        ("event IS NULL", [4]),
        ("event LIKE 'pur%' -- bought", [1, 3, 5]),
        ("NOT (price < 10)", [1, 2, 6, 7]),
        ("upper(event) = 'CART'", [6]),
        ("CASE WHEN user_id = 'a' THEN true ELSE price = 12 END", [0, 1, 7]),
    ],
)
def test_a_condition_selects_the_same_rows_in_every_format(tmp_path, suffix, condition, selected):
    rows, faults = read_log(write(tmp_path, suffix), where=condition)
    assert [int(str(row[3])) for row in rows] == selected and faults == []


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("1; DROP TABLE log", "is not a condition"),
        ("true) OR (true", "is not a condition"),
        ("price >", "is not a condition"),
        ("price > 1, event = 'x'", "is not a condition"),
        ("price > (SELECT 1)", "contains a subquery"),
        ("EXISTS (FROM read_csv('/etc/passwd'))", "contains a subquery"),
        ("row_number() OVER () < 5", r"row_number\(\), which uses more than one row"),
        ("price > $1", "contains a parameter"),
        ("random() < 0.5", r"contains random\(\), which may return another value every time"),
        ("now() > '2020-01-01'", r"now\(\), which may return"),
        ("count(*) > 1", r"count_star\(\), which uses more than one row"),
        ("sum(price) > 1", r"sum\(\), which uses more"),
        ("evnt = 'view'", r"the log has no column 'evnt' \(did you mean 'event'\?\); it has user_id"),
        ("no_such_function(price)", "`where`"),
        ("event + 1 > 2", "`where`"),
        ("event", "`where`"),
    ],
)
def test_anything_but_a_condition_on_the_logs_columns_is_refused(tmp_path, condition, message):
    with pytest.raises(UserError, match=message) as stop:
        read_log(write(tmp_path, "csv"), where=condition)
    assert "\n" not in str(stop.value)


def test_the_connection_cannot_read_files(tmp_path):
    where = Where("price = 1")
    with pytest.raises(Exception, match="disabled by configuration"):
        where._connection.execute(f"COPY (SELECT 1) TO '{tmp_path}/x.csv'")


@pytest.mark.parametrize("size", [200, 4 << 20])
def test_a_value_that_does_not_fit_the_type_is_a_reject(tmp_path, monkeypatch, size):
    monkeypatch.setattr(lines, "BLOCK_BYTES", size)
    path = tmp_path / "log.csv"
    prices = [*range(500), "cheap", "", "NA", 1000]
    path.write_text("user_id,item_id,timestamp,price\n" + "".join(f"a,x,{n},{price}\n" for n, price in enumerate(prices)))
    rows, faults = read_log(path, where="price >= 498")
    assert [row[3] for row in rows] == ["498", "499", "503"] and faults == [(502, "price is no bigint")]


@pytest.mark.parametrize("size", [40, 4 << 20])
def test_a_column_without_a_value_at_first_has_its_type_from_the_first_value(tmp_path, monkeypatch, size):
    monkeypatch.setattr(lines, "BLOCK_BYTES", size)
    path = tmp_path / "log.csv"
    path.write_bytes(b"user_id,item_id,timestamp,price\na,x,1,\xff\n" + b"b,y,2,\n" * 20 + b"c,z,3,9\nd,z,4,10\ne,z,5,NA\n")
    rows, faults = read_log(path, where="price > 9")
    assert [row[1] for row in rows] == ["d"] and faults == [(2, "where: price is not UTF-8")]


def test_rows_not_selected_are_counted_but_not_rejected(tmp_path):
    columns = {name: values * 4 for name, values in COLUMNS.items()} | {"timestamp": list(range(1_400_000_000, 1_400_000_032))}
    columns["user_id"] = ["" if event == "cart" else user for user, event in zip(columns["user_id"], columns["event"], strict=True)]
    config = PrepareConfig(sources=(str(write(tmp_path, "csv", columns)),), where='event == "view"', threads=1)
    manifest = prepare(config, tmp_path / "out")
    assert (manifest.summary["rows"], manifest.summary["unselected"], manifest.summary["rejected"]) == (32, 20, 0)
    assert manifest.summary["events"] == 12 and manifest.options["where"] == config.where
    verify(tmp_path / "out")


def test_a_condition_that_selects_nothing_is_refused(tmp_path):
    config = PrepareConfig(sources=(str(write(tmp_path, "csv")),), where="price > 1000")
    with pytest.raises(UserError, match=r"`where`='price > 1000' selects none of the 8 rows"):
        prepare(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()
