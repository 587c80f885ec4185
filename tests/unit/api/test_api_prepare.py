"""`ltrec.prepare`, `ltrec.verify` and `ltrec.fetch`: files and tables, typed results, one-line refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ltrec
from tests.support.arrow_only import ArrowOnly
from tests.support.logs import some_events, write_csv


def columns(rows=None, kind: pa.DataType | None = None):
    user, item, time = (list(column) for column in zip(*(rows or some_events()), strict=True))
    return {"user_id": pa.array(user, kind or pa.string()), "item_id": pa.array(item, kind or pa.string()), "timestamp": time}


def content(folder: Path):
    return {str(path.relative_to(folder)): pq.read_table(path, partitioning=None) for path in sorted(folder.rglob("*.parquet"))}


def test_files_and_every_kind_of_table_give_the_same_data(tmp_path):
    write_csv(tmp_path / "log.csv", some_events())
    expected = ltrec.prepare(tmp_path / "log.csv", out=tmp_path / "csv", threads=1)
    batch = pa.RecordBatch.from_pydict(columns())
    tables = {
        "arrow": pa.table(columns()),
        "batch": batch,
        "other": ArrowOnly(columns()),
        "views": ArrowOnly(columns(kind=pa.string_view())),
        "large": ArrowOnly(columns(kind=pa.large_string())),
        "categories": pa.table(
            {name: pa.array(c).dictionary_encode() for name, c in columns().items() if name != "timestamp"}
        ).append_column("timestamp", pa.array(columns()["timestamp"])),
    }
    for name, table in tables.items():
        data = ltrec.prepare(table, out=tmp_path / name, threads=1)
        assert not data.up_to_date and content(data.path) == content(expected.path), name
        assert ltrec.prepare(table, out=tmp_path / name, threads=1).up_to_date, name


def test_several_tables_and_files_are_read_in_the_order_given(tmp_path):
    events = some_events()
    write_csv(tmp_path / "half.csv", events[:20])
    parts = [tmp_path / "half.csv", pa.table(columns(events[20:30])), ArrowOnly(columns(events[30:]))]
    whole = ltrec.prepare(pa.table(columns()), out=tmp_path / "whole", ties="source")
    assert content(ltrec.prepare(*parts, out=tmp_path / "parts", ties="source").path) == content(whole.path)


def test_the_result_is_typed_json_and_a_path(tmp_path):
    data = ltrec.prepare(pa.table(columns()), out=tmp_path / "d", head_share=0.4)
    assert isinstance(data, ltrec.Dataset) and (data.name, data.mended) == ("d", False)
    told = json.loads(json.dumps(data.to_dict(), allow_nan=False))
    assert told["rows"] == len(some_events()) and told["digest"] == data.digest and not told["up_to_date"]
    again = ltrec.verify(data)
    assert again.digest == data.digest and again.to_dict() == {**told, "up_to_date": True}
    assert len(repr(data)) < 300, "the manifest is not printed"


def test_config_files_name_sources_and_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ltrec.fetch("synthetic", users=40, items=20)
    data = ltrec.prepare("conf/data/synthetic.yaml", min_item_events=2)
    assert data.path == Path("data/synthetic") and data.manifest.options["min_item_events"] == 2


def test_a_log_that_was_fetched_can_be_prepared(tmp_path, capfd):
    log = ltrec.fetch("synthetic", tmp_path / "raw", users=20, items=15)
    assert log.events == tmp_path / "raw/events.parquet" and log.to_dict()["notice"] == log.notice
    assert ltrec.prepare(log, out=tmp_path / "d").to_dict()["users"] == 20
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("sources", "options", "line"),
    [
        ([3], {}, "a int is neither a path nor a table"),
        (["none.csv"], {}, "none.csv"),
        ([], {}, "no event log named"),
        ([pa.table(columns())], {"usr": "x"}, r"unknown key 'prepare.usr' in the call \(did you mean 'prepare.user'"),
        ([pa.table(columns())], {"user": "x"}, "x"),
        ([pa.table(columns())], {"memory_limit": "lots"}, r"^prepare\.memory_limit must be an amount such as 1GB"),
        ([pa.table({"user_id": [{"a": 1}]})], {}, "item_id"),
    ],
)
def test_mistakes_are_one_line(sources, options, line, tmp_path):
    with pytest.raises(ltrec.UserError, match=line) as caught:
        ltrec.prepare(*sources, out=tmp_path / "d", **options)
    assert "\n" not in str(caught.value) and not (tmp_path / "d").exists()


def test_synthetic_options_are_checked(tmp_path):
    with pytest.raises(ltrec.UserError, match="a synthetic log is shaped by"):
        ltrec.fetch("synthetic", tmp_path, sizes=3)
    with pytest.raises(ltrec.UserError, match="--users"):
        ltrec.fetch("synthetic", tmp_path, users=1)
    with pytest.raises(ltrec.UserError, match="no data set 'ml-1m'"):
        ltrec.fetch("ml-1m", tmp_path)
