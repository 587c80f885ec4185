"""Event columns through the whole of prepare, against dictionaries, from every format of logs."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltrec.columns.kinds.category import CategoryConfig
from ltrec.columns.kinds.number import NumberConfig
from ltrec.columns.kinds.time import NO_TIME, TimeConfig
from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.verify.dataset import verify
from tests.support.logs import START, prepared, some_events, write_csv
from tests.support.naive_columns import event_values, numbered, read_columns, training_values, words_by_column
from tests.support.naive_prepare import naive_prepare, read_back

HEADER = ("user_id", "item_id", "timestamp", "kind", "price", "since", "conf")

rows = st.tuples(
    st.sampled_from(["u1", "u2", "10", "Ü"]),
    st.sampled_from(["a", "B", "9", "é"]),
    st.integers(START, START + 6),
    st.sampled_from([None, "view", "buy", "cart, later", "7"]),
    st.sampled_from([None, 0.5, -2.25, 1e3]),
    st.sampled_from([None, 0, 86_400]),
    st.sampled_from([0.0, 1.0, 0.25]),
)
options = st.fixed_dictionaries(
    {
        "duplicates": st.sampled_from(["auto", "keep", "drop_exact", "keep_first", "keep_last"]),
        "ties": st.sampled_from(["source", "hash"]),
        "min_item_events": st.sampled_from([1, 1, 3]),
        "history_cap": st.integers(3, 6),
        "held_out_users": st.sampled_from([0.0, 0.0, 0.4]),
        "block_rows": st.integers(1, 3),
        "shard_events": st.sampled_from([1, 1000]),
    }
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rows, min_size=20, max_size=60), options, st.sampled_from(["csv", "jsonl", "parquet"]), st.integers(1, 9))
def test_columns_equal_the_naive_reference(log, chosen, form, least):
    with tempfile.TemporaryDirectory() as folder:
        source = WRITERS[form](Path(folder, f"log.{form}"), log)
        config = PrepareConfig(
            **chosen,
            sources=(str(source),),
            threads=1,
            event_columns={
                "type": CategoryConfig(column="kind", min_count=least),
                "price": NumberConfig(log=True),
                "since": TimeConfig(),
            },
            weight="conf",
        )
        data = naive_prepare([row[:3] for row in log], config, [row[3:] for row in log])
        if data is None:
            with pytest.raises(UserError):
                prepare(config, Path(folder, "out"))
            return
        manifest = prepare(config, Path(folder, "out"))
        assert read_back(Path(folder, "out"))[0] == data.rows
        _compare(Path(folder, "out"), data, [row[3:] for row in log], least, manifest)
        assert verify(Path(folder, "out")) == manifest


def _compare(out, data, values, least, manifest):
    found = read_columns(out)
    kind, price, since, weight = (list(column) for column in zip(*values, strict=True))
    words, id_of = numbered(training_values(data, kind), least)
    assert words_by_column(out) == {"type": words}
    assert found["event.type"] == event_values(data, [id_of(word) for word in kind])
    assert found["event.since"] == event_values(data, [NO_TIME if s is None else s for s in since])
    assert found["weight"] == event_values(data, weight)
    numbers = event_values(data, [math.nan if p is None else p for p in price])
    assert {user: [None if math.isnan(x) else x for x in own] for user, own in found["event.price"].items()} == {
        user: [None if math.isnan(x) else x for x in own] for user, own in numbers.items()
    }
    column = manifest.columns.of("event")["price"]
    trained = training_values(data, price)
    there = [p for p in trained if p is not None]
    assert column.statistics["missing"] == pytest.approx(1 - len(there) / len(trained))
    if there:
        assert column.statistics["mean"] == pytest.approx(np.mean(there))
        assert column.statistics["log_deviation"] == pytest.approx(np.std(np.sign(there) * np.log1p(np.abs(there))))
    assert manifest.columns.of("event")["type"].size == 2 + len(words)


def _csv(path, log):
    return write_csv(path, log, HEADER)


def _jsonl(path, log):
    path.write_text("".join(json.dumps({k: v for k, v in zip(HEADER, row, strict=True) if v is not None}) + "\n" for row in log))
    with open(path, "a", encoding="utf-8") as file:  # a first line that lacks a field says nothing of the others
        file.write("\n")
    return path


def _parquet(path, log):
    columns = dict(zip(HEADER, map(list, zip(*log, strict=True)), strict=True))
    kind = pa.array(columns.pop("kind"), pa.string()).dictionary_encode()
    since = pa.array(columns.pop("since"), pa.int64()).cast(pa.timestamp("s"))
    table = pa.table(columns).append_column("kind", kind).append_column("since", since)
    table = table.set_column(table.schema.get_field_index("price"), "price", pa.array(columns["price"], pa.float64()))
    pq.write_table(table, path)
    return path


WRITERS = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}


def with_values(*values, header="price"):
    """(rows, header): the usual log with one column more, whose first values are these and all others 1."""
    events = some_events()
    filled = [*values, *["1"] * (len(events) - len(values))]
    return [(*event, value) for event, value in zip(events, filled, strict=True)], ("user_id", "item_id", "timestamp", header)


@pytest.mark.parametrize(
    ("values", "options", "rejects"),
    [
        (["x", "1e999", "-inf"], {"event_columns": {"price": NumberConfig()}}, {"price: no number": 1, "price: infinite": 2}),
        (["soon"], {"event_columns": {"price": TimeConfig()}}, {"price: no time": 1}),
        (["a" * 1001], {"event_columns": {"price": CategoryConfig()}}, {"price: longer than 1000 characters": 1}),
        (["-1", "", "x", "nan", "inf"], {"weight": "price"},
         {"weight below 0": 1, "no weight": 2, "weight: no number": 1, "weight: infinite": 1}),
    ],
)  # fmt: skip
def test_invalid_values_are_counted_rejects(tmp_path, values, options, rejects):
    rows, header = with_values(*values)
    source = write_csv(tmp_path / "bad.csv", rows, header)
    config = PrepareConfig(sources=(str(source),), threads=1, reject_budget=0.5, **options)
    manifest = prepare(config, tmp_path / "out")
    assert manifest.summary["rejects"] == dict(sorted(rejects.items()))
    assert manifest.summary["rows"] == len(rows)
    kept = pq.read_table(tmp_path / "out" / manifest.summary["rejects_file"]["path"]).to_pylist()
    assert kept[0]["row"] == 2 and kept[0]["content"].startswith("price=")
    assert verify(tmp_path / "out") == manifest


def test_typed_weights_are_judged_like_text(tmp_path):
    source = _with_weights(tmp_path, [-1.0, np.nan, np.inf, None])
    config = PrepareConfig(sources=(source,), threads=1, reject_budget=0.5, weight="weight")
    assert prepare(config, tmp_path / "out").summary["rejects"] == {"no weight": 2, "weight below 0": 1, "weight: infinite": 1}


def test_weights_that_are_all_0_leave_nothing_to_train_on(tmp_path):
    source = _with_weights(tmp_path, [0.0] * len(some_events()))
    with pytest.raises(UserError, match=r"every training event weighs 0 in the column 'weight' \(`weight`\)"):
        prepare(PrepareConfig(sources=(source,), threads=1, weight="weight"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _with_weights(folder, weights):
    """The usual log as Parquet; weights that are not given are 1."""
    events = some_events()
    columns = dict(zip(("user_id", "item_id", "timestamp"), map(list, zip(*events, strict=True)), strict=True))
    weights = pa.array([*weights, *[1.0] * (len(events) - len(weights))], pa.float64())
    pq.write_table(pa.table(columns | {"weight": weights}), folder / "log.parquet")
    return str(folder / "log.parquet")


def test_a_missing_number_is_not_a_reject(tmp_path):
    rows, header = with_values("", "NA", "nan")
    config = PrepareConfig(sources=(str(write_csv(tmp_path / "log.csv", rows, header)),), event_columns={"price": NumberConfig()})
    assert prepare(config, tmp_path / "out").summary["rejected"] == 0


def test_a_column_that_half_the_files_have_is_one_line(tmp_path):
    first, header = with_values()
    write_csv(tmp_path / "logs" / "a.csv", first, header)
    write_csv(tmp_path / "logs" / "b.csv", some_events())
    config = PrepareConfig(sources=(str(tmp_path / "logs"),), event_columns={"price": NumberConfig()})
    with pytest.raises(UserError, match=r"b\.csv has no column 'price'; it has user_id, item_id, timestamp$"):
        prepare(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_column_of_an_unfit_type_is_one_line(tmp_path):
    events = some_events()
    columns = dict(zip(("user_id", "item_id", "timestamp"), map(list, zip(*events, strict=True)), strict=True))
    pq.write_table(pa.table(columns | {"price": [[1.0]] * len(events)}), tmp_path / "log.parquet")
    config = PrepareConfig(sources=(str(tmp_path / "log.parquet"),), event_columns={"price": NumberConfig()})
    with pytest.raises(UserError, match=r"log\.parquet: the column 'price' has type list.*; a number must be"):
        prepare(config, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"event_columns": {"time": NumberConfig()}}, "'time' is a reserved name for event columns"),
        ({"event_columns": {"a b": NumberConfig()}}, "'a b' is not a valid column name"),
        ({"targets": {"kind": ("buy",)}}, "targets names 'kind', which must be a column of kind category in event_columns"),
        ({"event_columns": {"kind": CategoryConfig()}, "targets": {"kind": ()}}, r"targets\.kind is empty"),
        ({"strata_by": "targets"}, "strata_by is 'targets', but targets is empty"),
    ],
)
def test_declarations_that_contradict_themselves_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PrepareConfig(**options)


def test_a_category_of_many_values_stays_within_memory(tmp_path):
    """Every event has its own value."""
    rows = [(f"u{n % 300}", f"i{n % 7}", START + n, f"word {n:06d}") for n in range(30_000)]
    source = write_csv(tmp_path / "log.csv", rows, ("user_id", "item_id", "timestamp", "kind"))
    config = PrepareConfig(sources=(str(source),), threads=1, memory_limit="100MB", event_columns={"kind": CategoryConfig()})
    manifest = prepare(config, tmp_path / "out")
    assert manifest.columns.of("event")["kind"].size == 2 + manifest.summary["train_events"]


def test_without_columns_the_options_say_nothing_of_them(tmp_path):
    assert not {"event_columns", "weight", "items", "users", "targets", "strata_by"} & prepared(tmp_path).options.keys()
    assert prepared(tmp_path).format_version == 1
    with pytest.raises(UserError, match="was prepared with `weight`=None, not 'timestamp'"):
        prepared(tmp_path, weight="timestamp")
