"""Tables of items and users beside the log, from every format, against dictionaries; and what is wrong with them."""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ltrec.columns.kinds.categories import CategoriesConfig
from ltrec.columns.kinds.category import CategoryConfig
from ltrec.columns.kinds.number import NumberConfig
from ltrec.columns.kinds.vector import VectorConfig
from ltrec.core.errors import UserError
from ltrec.data.columns import item_values, vocabulary_of
from ltrec.data.prepare.table_config import ItemsConfig, UsersConfig
from ltrec.data.verify.dataset import verify
from tests.support.logs import prepared, some_events, write_csv
from tests.support.naive_columns import numbered, read_columns

HEADER = ("item_id", "genres", "brand", "price", "text")
COLUMNS = {
    "genres": CategoriesConfig(),
    "make": CategoryConfig(column="brand", min_count=2),
    "price": NumberConfig(),
    "text": VectorConfig(width=2),
}


def csv_table(path, rows):
    plain = [(i, "|".join(g) if g else None, b, p, v and f"{v[0]} {v[1]}") for i, g, b, p, v in rows]
    return write_csv(path, plain, HEADER)


def json_table(path, rows):
    path.write_text("".join(json.dumps(dict(zip(HEADER, row, strict=True))) + "\n" for row in rows))
    return path


def parquet_table(path, rows):
    types = (pa.string(), pa.list_(pa.string()), pa.string(), pa.float64(), pa.list_(pa.float64()))
    columns = zip(*rows, strict=True) if rows else [[]] * 5
    pq.write_table(pa.table({n: pa.array(list(c), t) for n, c, t in zip(HEADER, columns, types, strict=True)}), path)
    return path


TABLES = {"csv": csv_table, "jsonl": json_table, "parquet": parquet_table}
items = st.sampled_from(["i0", "i1", "i2", "i3", "i5", "new 1", "new 2"])
rows = st.tuples(
    items,
    st.sampled_from([None, ["a"], ["b", "a"], ["c", "ü", "b"]]),
    st.sampled_from([None, "x", "y"]),
    st.sampled_from([None, 1.5, -2.0]),
    st.sampled_from([None, [1.0, 0.5], [-1.0, 2.0]]),
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rows, min_size=1, max_size=9), st.sampled_from(list(TABLES)), st.integers(1, 2))
def test_item_columns_equal_the_naive_reference(table, form, least):
    assume({row[0] for row in table} & {event[1] for event in some_events()})
    with tempfile.TemporaryDirectory() as folder:
        source = TABLES[form](Path(folder, f"items.{form}"), table)
        config = ItemsConfig(source=str(source), columns=COLUMNS)
        manifest = prepared(Path(folder), items=config, min_item_events=least, reject_budget=1.0)
        first = {row[0]: row for row in reversed(table)}
        assert manifest.summary["item_table"]["rejects"] == (
            {"item twice": len(table) - len(first)} if len(table) > len(first) else {}
        )
        _compare(Path(folder, "out"), manifest, first)
        assert verify(Path(folder, "out")) == manifest


def _compare(out, manifest, first):
    vocabulary = pq.read_table(out / manifest.vocab.path).to_pylist()
    names, trained = [v["item_id"] for v in vocabulary], {v["item_id"] for v in vocabulary if v["train_count"]}
    known = {event[1] for event in some_events()}
    new = sorted(set(first) - known)
    assert names[len(names) - len(new) :] == new
    summary = manifest.summary["item_table"]
    without = {name for name in names if name in known and name not in first}
    assert summary["events_without_row"] == sum(item in without for _, item, _ in some_events())
    assert (summary["new"], summary["without_row"]) == (len(new), sum(n not in first for n in names if n in known))
    of_item = [first.get(name, (name, None, None, None, None)) for name in names]
    genres, make = manifest.columns.of("item")["genres"], manifest.columns.of("item")["make"]
    words, id_of = numbered([word for name, g, *_ in of_item if name in trained for word in g or []], 1)
    ids, starts = item_values(out, manifest, "genres")
    assert vocabulary_of(out, manifest, genres) == words
    found = [ids[a:b].tolist() for a, b in itertools.pairwise(starts)]
    assert found == [[id_of(word) for word in row[1] or []] for row in of_item]
    words, id_of = numbered([row[2] for row in of_item if row[0] in trained], 2)
    assert vocabulary_of(out, manifest, make) == words
    assert item_values(out, manifest, "make")[0].tolist() == [id_of(row[2]) for row in of_item]
    np.testing.assert_array_equal(item_values(out, manifest, "text")[0], [row[4] or [0, 0] for row in of_item])
    np.testing.assert_array_equal(item_values(out, manifest, "price")[0], [np.nan if row[3] is None else row[3] for row in of_item])


def test_user_columns_stand_beside_their_rows(tmp_path):
    source = write_csv(
        tmp_path / "users.tsv.csv", [("u1", 30, "smith"), ("u3", None, "cook"), ("stranger", 7, "smith")], ("name", "age", "job")
    )
    config = UsersConfig(source=str(source), id="name", columns={"age": NumberConfig(), "job": CategoryConfig()})
    manifest = prepared(tmp_path, users=config)
    found = read_columns(tmp_path / "out")
    assert {user: job for user, job in found["user.job"].items() if job} == {"u1": 3, "u3": 2}
    assert {user: age for user, age in found["user.age"].items() if age == age} == {"u1": 30.0}
    assert vocabulary_of(tmp_path / "out", manifest, manifest.columns.of("user")["job"]) == ["cook", "smith"]
    assert manifest.summary["user_table"] == {"rows": 3, "rejected": 0, "rejects": {}, "without_row": 10, "unused": 1}
    assert verify(tmp_path / "out") == manifest


def test_an_item_that_was_filtered_out_does_not_come_back_as_a_new_one(tmp_path):
    source = write_csv(tmp_path / "items.csv", [("rare", "x"), ("i1", "y"), ("new", "z")], ("item_id", "brand"))
    config = ItemsConfig(source=str(source), columns={"brand": CategoryConfig()})
    log = [*some_events(), ("u1", "rare", 1_400_000_000)]
    manifest = prepared(tmp_path, log, items=config, min_item_events=2)
    names = pq.read_table(tmp_path / "out" / manifest.vocab.path)["item_id"].to_pylist()
    assert "rare" not in names and names[-1] == "new"


BAD = [
    ([("i1", "1 2"), ("i2", "1 2 3")], "not 2 numbers", [3], ["text=1 2 3"]),
    ([("i1", "1 nan"), ("i2", "1 2")], "not finite", [2], ["text=1 nan"]),
    ([("i1", "1 inf"), ("i2", "1 2")], "not finite", [2], ["text=1 inf"]),
    ([("i1", "1 2"), ("i1", "1 2"), ("i1", "3 4")], "item twice", [3, 4], ["item_id=i1"] * 2),
    ([("", "1 2"), ("i2", "1 2")], "null item", [2], ["item_id="]),
]


@pytest.mark.parametrize(("table", "reason", "lines", "contents"), BAD)
def test_bad_rows_of_a_table_are_named_and_kept(tmp_path, table, reason, lines, contents):
    source = write_csv(tmp_path / "items.csv", table, ("item_id", "text"))
    config, out = ItemsConfig(source=str(source), columns={"text": VectorConfig(width=2)}), tmp_path / "out"
    with pytest.raises(UserError) as caught:
        prepared(tmp_path, items=config)
    reason = f"text: {reason}" if "=" in contents[0] and contents[0].startswith("text") else reason
    places = ", ".join(f"items.csv:{line}" for line in lines)
    assert f"{len(lines)} of {len(table)} rows of `items` rejected" in str(caught.value) and "\n" not in str(caught.value)
    assert f"budget 0.10%): {len(lines)} x {reason} ({places}); see {out}/_rejects/over-budget" in str(caught.value)
    assert [path.name for path in out.rglob("*")] == ["_rejects", "over-budget.parquet"]
    over = pq.read_table(out / "_rejects" / "over-budget.parquet").to_pylist()
    manifest = prepared(tmp_path, items=config, reject_budget=1.0)
    summary = manifest.summary["item_table"]
    assert (summary["rejected"], summary["rejects"]) == (len(lines), {reason: len(lines)})
    kept = pq.read_table(out / summary["rejects_file"]["path"]).to_pylist()
    expected = [{"file": "items.csv", "row": n, "reason": reason, "content": c} for n, c in zip(lines, contents, strict=True)]
    assert kept == over == expected
    assert verify(out) == manifest and not (out / "_rejects" / "over-budget.parquet").exists()
    (out / summary["rejects_file"]["path"]).write_bytes(b"other")
    with pytest.raises(UserError, match="_rejects/rejects-items-"):
        verify(out)


def test_rejects_of_a_table_of_several_files_are_in_their_order(tmp_path):
    (tmp_path / "users").mkdir()
    write_csv(tmp_path / "users" / "b.csv", [("u1", "x"), ("u2", 7)], ("user_id", "age"))
    write_csv(tmp_path / "users" / "a.csv", [("u1", 30), (None, 4), ("u3", "y")], ("user_id", "age"))
    config = UsersConfig(source=str(tmp_path / "users" / "*.csv"), columns={"age": NumberConfig()})
    manifest = prepared(tmp_path, users=config, reject_budget=1.0)
    summary = manifest.summary["user_table"]
    kept = pq.read_table(tmp_path / "out" / summary["rejects_file"]["path"])
    assert [(Path(row["file"]).name, row["row"]) for row in kept.to_pylist()] == [("a.csv", 3), ("a.csv", 4), ("b.csv", 2)]
    assert kept["content"].to_pylist() == ["user_id= age=4.0", "age=y", "age=x"]
    assert (summary["rows"], summary["rejected"]) == (5, 3)


def test_long_lists_are_truncated_and_counted(tmp_path):
    table = [("i1", "a|b|c|b|d"), ("i2", "c|a"), ("i3", "d|d|c|a"), ("i4", None)]
    source = write_csv(tmp_path / "items.csv", table, ("item_id", "tags"))
    config = ItemsConfig(source=str(source), columns={"tags": CategoriesConfig(max_values=2)})
    manifest = prepared(tmp_path, items=config)
    out, column = tmp_path / "out", manifest.columns.of("item")["tags"]
    ids, starts = item_values(out, manifest, "tags")
    names = pq.read_table(out / manifest.vocab.path)["item_id"].to_pylist()
    words = [None, None, *vocabulary_of(out, manifest, column)]
    found = {name: [words[i] for i in ids[a:b]] for name, (a, b) in zip(names, itertools.pairwise(starts), strict=True)}
    assert {name: found[name] for name in ("i1", "i2", "i3", "i4")} == {
        "i1": ["a", "b"],
        "i2": ["c", "a"],
        "i3": ["d", "c"],
        "i4": [],
    }
    assert manifest.summary["item_table"]["shortened"] == {"tags": 2}
    assert "2 items have more than `items.columns.tags.max_values` values; the first ones are kept" in manifest.summary["notes"]
    counts = dict(zip(words[2:], pq.read_table(out / column.file)["count"].to_pylist(), strict=True))
    assert counts == {"a": 2, "c": 2, "b": 1, "d": 1}, "what was cut is not counted"
    assert verify(out) == manifest


TYPED = [
    (VectorConfig(width=2), pa.array([[1, 2], [np.nan, 1], [np.inf, 1], None], pa.list_(pa.float32(), 2)), {"not finite": 2}, 2),
    (VectorConfig(width=2), pa.array([[1.0, 2.0], [1.0, None], [1e300, 1.0], [1.0]]), {"not finite": 2, "not 2 numbers": 1}, 1),
    (VectorConfig(width=3), pa.array([[1, 2], [1, 2, 3], [], None], pa.list_(pa.int64())), {"not 3 numbers": 2}, 2),
    (NumberConfig(), pa.array([np.inf, np.nan, -np.inf, 1.0]), {"infinite": 2}, 2),
]


@pytest.mark.parametrize(("config", "values", "rejects", "rows"), TYPED)
def test_typed_values_are_judged_like_text(tmp_path, config, values, rejects, rows):
    """NaN of a number is a missing one; in a vector there is no such thing."""
    names = [f"i{n}" for n in range(len(values))]
    source = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": names, "x": values}), source)
    try:
        pq.read_table(source)
    except pa.ArrowInvalid as broken:
        pytest.skip(f"this pyarrow cannot read what it wrote, vectors of which one is null (21 cannot): {broken}")
    manifest = prepared(tmp_path, items=ItemsConfig(source=str(source), columns={"x": config}), reject_budget=1.0)
    summary = manifest.summary["item_table"]
    assert summary["rejects"] == {f"x: {reason}": count for reason, count in rejects.items()}
    assert summary["rows"] - summary["rejected"] == rows
    assert verify(tmp_path / "out") == manifest


@pytest.mark.parametrize("role", ["item", "user"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_column_that_half_of_the_files_of_a_table_have_is_one_line(tmp_path, role, form):
    (tmp_path / "table").mkdir()
    for file, row in (("a", {f"{role}_id": f"{role[0]}1", "x": 1}), ("b", {f"{role}_id": f"{role[0]}2"})):
        text = json.dumps(row) if form == "jsonl" else f"{','.join(row)}\n{','.join(map(str, row.values()))}"
        (tmp_path / "table" / f"{file}.{form}").write_text(text + "\n")
    config = (ItemsConfig if role == "item" else UsersConfig)(source=str(tmp_path / "table"), columns={"x": NumberConfig()})
    with pytest.raises(UserError, match=rf"b\.{form} has no column 'x'; it has {role}_id$"):
        prepared(tmp_path, **{f"{role}s": config})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("role", ["item", "user"])
@pytest.mark.parametrize(("rows", "words"), [([("zz", 1)], "its ids are like 'zz'"), ([], "it has no rows")])
def test_a_table_of_other_ids_is_refused(tmp_path, role, rows, words):
    source = write_csv(tmp_path / "table.csv", rows, (f"{role}_id", "x"))
    config = (ItemsConfig if role == "item" else UsersConfig)(source=str(source), columns={"x": NumberConfig()})
    with pytest.raises(UserError) as caught:
        prepared(tmp_path, **{f"{role}s": config})
    assert f"`{role}s.source` has no row for any {role} of the log, such as '{role[0]}0'; {words}: is '{role}_id'" in str(
        caught.value
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"text": VectorConfig(width=2)}}, "`items.columns` names text, but `items.source` is empty"),
        ({"source": "items.csv"}, "`items.source` is items.csv, but `items.columns` is empty"),
        ({"source": "items.csv", "columns": {"txt": NumberConfig()}}, "items.csv has no column 'txt' (did you mean 'text'?)"),
        ({"source": "items.csv", "id": "item", "columns": {"text": NumberConfig()}}, "has no column 'item'"),
        ({"source": "nothing.csv", "columns": {"text": NumberConfig()}}, "nothing.csv not found"),
        (
            {"source": "items.csv", "columns": {"text": VectorConfig()}},
            "items.columns.text: a column of kind vector needs its width",
        ),
    ],
)
def test_a_table_that_cannot_be_read_is_one_line(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "items.csv", [("i1", "1 2")], ("item_id", "text"))
    with pytest.raises(UserError) as caught:
        prepared(tmp_path, items=ItemsConfig(**options))
    assert message in str(caught.value)


@pytest.mark.parametrize(("key", "name"), [("order", "price"), ("item_id", "order")])
def test_a_column_of_a_table_may_have_the_name_of_logs_without_times(tmp_path, key, name):
    source = write_csv(tmp_path / "items.csv", [("i1", 4), ("i2", 7)], (key, name))
    manifest = prepared(tmp_path, items=ItemsConfig(source=str(source), id=key, columns={name: NumberConfig()}))
    assert (manifest.summary["item_table"]["rows"], [column.name for column in manifest.columns]) == (2, [name])


def test_users_cannot_have_a_list_column(tmp_path):
    source = write_csv(tmp_path / "users.csv", [("u1", "a|b")], ("user_id", "tags"))
    with pytest.raises(UserError, match=r"users\.columns\.tags is of kind categories, which only item columns can be"):
        prepared(tmp_path, users=UsersConfig(source=str(source), columns={"tags": CategoriesConfig()}))


def test_a_table_that_changes_makes_another_data_set(tmp_path):
    source = write_csv(tmp_path / "items.csv", [("i1", 1)], ("item_id", "price"))
    config = ItemsConfig(source=str(source), columns={"price": NumberConfig()})
    first = prepared(tmp_path, items=config)
    assert prepared(tmp_path, items=config) == first
    write_csv(source, [("i1", 2)], ("item_id", "price"))
    with pytest.raises(UserError, match="from other source files"):
        prepared(tmp_path, items=config)
    with pytest.raises(UserError, match="was prepared with `items`="):
        prepared(tmp_path)
