"""Columns of a data set that was appended to: the bytes of a full prepare, and what they mean, value by value."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.data.columns import vocabulary_of
from ltrec.data.prepare.append.pipeline import append
from ltrec.data.prepare.table_config import ItemsConfig, UsersConfig
from ltrec.data.verify.dataset import verify
from tests.support.appended import refuse_other_counts, rows_of
from tests.support.columned_days import EVENTS, ColumnedDay, columned_days, config_of_day, grow
from tests.support.logs import START, write_csv

OWN = {"reach", "late", "item_table", "user_table"}
"""What a full prepare counts in another way."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return grow(tmp_path_factory.mktemp("columned"))


def refuse_difference(made):
    mine, full = made.manifest("grown"), made.manifest("full")
    pairs = list(zip(rows_of(made.grown), rows_of(made.full), strict=True))
    assert pairs
    for one, other in pairs:
        assert one.schema == other.schema and str(one.to_pydict()) == str(other.to_pydict())  # no number is no number
    refuse_other_counts(mine, full, OWN)
    for one, other in zip(mine.shards, full.shards, strict=True):
        assert one.layers or one == other
    verify(made.grown)
    verify(made.full)


def test_it_equals_a_full_prepare(made):
    refuse_difference(made)
    assert any(shard.layers for shard in made.manifest("grown").shards)
    assert made.manifest("grown").columns != made.manifest("parent").columns


@pytest.mark.parametrize(
    "options",
    [
        {"recut": True, "strata": 3},
        {"targets": {"type": ("view", "of day 0")}, "strata_by": "targets"},
        {"held_out_users": 0.3, "ties": "hash", "users": UsersConfig()},
        {"history_cap": 6, "items": ItemsConfig(), "weight": ""},
    ],
    ids=str,
)
def test_it_equals_under_every_option(tmp_path, options):
    refuse_difference(grow(tmp_path, **options))


def stored(folder, manifest):
    """User -> row, as readers see it."""
    return {row["user_id"]: row for table in rows_of(folder) for row in table.to_pylist()}


def words_of(folder, manifest, role):
    return {name: vocabulary_of(folder, manifest, column) for name, column in manifest.columns.of(role).items() if column.file}


def test_every_event_means_what_its_day_knew(made):
    """Against dictionaries: an old event has the parent's ids, a new one those of both days."""
    before, after = (words_of(made.folder / name, made.manifest(name), "event")["type"] for name in ("parent", "grown"))
    assert after[: len(before)] == before and len(after) > len(before)
    items = pq.read_table(made.grown / made.manifest("grown").vocab.path)["item_id"].to_pylist()
    days = columned_days()
    raw = {number: {} for number in (0, 1)}
    for number, day in enumerate(days):
        for user, item, time, kind, *_, weight in day.log:
            raw[number].setdefault((user, item, time), set()).add((kind, weight))
    seen = {"unknown": 0, "old word": 0, "new word": 0}
    for user, row in stored(made.grown, None).items():
        for item, time, code, weight in zip(row["items"], row["times"], row["event.type"], row["weight"], strict=True):
            key = (user, items[item - 1], time)
            number = 0 if key in raw[0] else 1
            known = before if number == 0 else after
            ids = {
                (0 if kind is None else 2 + known.index(kind) if kind in known else 1, weight) for kind, weight in raw[number][key]
            }
            assert (code, weight) in ids
            seen["unknown" if code == 1 else "new word" if code >= 2 + len(before) else "old word"] += code > 0
    assert all(seen.values()), seen


def test_items_and_users_of_the_parent_keep_their_columns(made):
    before, after = (pq.read_table(made.folder / name / made.manifest(name).item_table.path) for name in ("parent", "grown"))
    assert str(after.slice(0, before.num_rows).to_pydict()) == str(before.to_pydict())
    assert after.num_rows == made.manifest("grown").vocab.items > before.num_rows
    names = pq.read_table(made.grown / made.manifest("grown").vocab.path)["item_id"].to_pylist()
    makes = words_of(made.grown, made.manifest("grown"), "item")["make"]
    given_N = {row[0]: row for row in columned_days()[1].items}
    for item, cost, make in zip(names, after["cost"].to_pylist(), after["make"].to_pylist(), strict=True):
        if names.index(item) >= before.num_rows and item in given_N:
            assert cost == given_N[item][3] or (given_N[item][3] is None and math.isnan(cost))
            assert make == (2 + makes.index(given_N[item][2]) if given_N[item][2] in makes else 1)
    assert "alone 1" in names and given_N.keys() > set(names[before.num_rows :]) - {"alone 1"} & given_N.keys()
    old, new = (stored(made.folder / name, None) for name in ("parent", "grown"))
    touched = [user for user in old if len(new[user]["items"]) > len(old[user]["items"])]
    assert touched and all(str(new[u]["user.job"]) == str(old[u]["user.job"]) for u in touched)
    jobs = words_of(made.grown, made.manifest("grown"), "user")["job"]
    fresh = {user: job for user, job, _ in columned_days()[1].users if user in new and user not in old}
    assert fresh and all(new[user]["user.job"] == (2 + jobs.index(job) if job in jobs else 1) for user, job in fresh.items())


def test_statistics_stay_unless_thresholds_are_cut_anew(made, tmp_path):
    before, after = (made.manifest(name).columns for name in ("parent", "grown"))
    assert [column.statistics for column in after] == [column.statistics for column in before]
    assert made.manifest("grown").summary["weight"] == made.manifest("parent").summary["weight"]
    anew = append(config_of_day(made.folder, 1), made.parent, tmp_path / "anew", recut=True)
    changed = {column.name for column, old in zip(anew.columns, before, strict=True) if column.statistics != old.statistics}
    assert changed == {column.name for column in before}
    assert anew.summary["weight"]["mean"] > before_weight(made)


def before_weight(made):
    return made.manifest("parent").summary["weight"]["mean"]


def test_the_day_after_a_value_that_was_rare_may_get_an_id(made, tmp_path):
    """What an earlier day stored as unknown stays unknown; a later one brings the id."""
    days = columned_days()
    before = words_of(made.grown, made.manifest("grown"), "event")["type"]
    word = next(row[3] for row in days[0].log if row[3] and row[3] not in before)
    users = sorted({row[0] for row in days[0].log})[:40]
    late = [(user, "i1", START + 9 * 86_400 + n, word, 1, 1, 1) for user in users for n in range(4)]
    write_csv(tmp_path / "day-2.csv", late, EVENTS)
    third = append(config_of_day(tmp_path, 2, items=ItemsConfig(), users=UsersConfig()), made.grown, tmp_path / "third")
    words = words_of(tmp_path / "third", third, "event")["type"]
    assert words == [*before, word]
    rows = stored(tmp_path / "third", third)
    assert all(rows[user]["event.type"][-4:] == [2 + len(before)] * 4 for user in users)
    old = stored(made.grown, None)
    assert all(rows[user]["event.type"][: len(old[user]["items"])] == old[user]["event.type"] for user in users)
    assert verify(tmp_path / "third").lineage[-1]["columns"] == {
        f"{column.role}.{column.name}": column.size for column in made.manifest("grown").columns if column.file
    }


def test_tables_are_counted_and_rows_of_what_is_known_are_not_used(made, tmp_path):
    days = columned_days()
    step, before, after = made.manifest("grown").lineage[-1], made.manifest("parent").summary, made.manifest("grown").summary
    assert step["known_rows"] == {"items": 0, "users": 0}
    for role, rows in (("item", days[1].items), ("user", days[1].users)):
        assert after[f"{role}_table"]["rows"] == before[f"{role}_table"]["rows"] + len(rows)
    again = [(item, None, "another", 99.0, None) for item, *_ in days[0].items]
    write_csv(tmp_path / "items.csv", [*again, *days[1].items], ("item_id", "genres", "make", "cost", "text"))
    found = append(
        config_of_day(made.folder, 1, items=ItemsConfig(str(tmp_path / "items.csv"), columns={})), made.parent, tmp_path / "out"
    )
    assert found.column_files == made.manifest("grown").column_files, "an item that the parent has got another row"
    assert found.lineage[-1]["known_rows"]["items"] == len(days[0].items)


def test_without_tables_new_items_and_users_have_no_columns(made, tmp_path):
    found = append(config_of_day(made.folder, 1, items=ItemsConfig(), users=UsersConfig()), made.parent, tmp_path / "out")
    verify(tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / found.item_table.path).slice(made.manifest("parent").vocab.items)
    assert set(table["make"].to_pylist()) == {0} and all(map(math.isnan, table["cost"].to_pylist()))
    old = stored(made.parent, None)
    assert {row["user.job"] for user, row in stored(tmp_path / "out", found).items() if user not in old} == {0}
    assert found.summary["user_table"]["without_row"] == (
        made.manifest("parent").summary["user_table"]["without_row"] + found.lineage[-1]["new_users"]
    )


def test_an_event_that_differs_in_a_column_is_late_not_known(made, tmp_path):
    """A value without an id is unknown to the parent, so that it equals every other one without."""
    words = words_of(made.parent, made.manifest("parent"), "event")["type"]
    (user, item, time, kind, price, *rest), rare = (
        next(row for row in columned_days()[0].log if row[3] and (row[3] in words) == known and row[4] is not None)
        for known in (True, False)
    )
    day = columned_days()[1].log
    for name, row in (
        ("known", (user, item, time, kind, price, *rest)),
        ("late", (user, item, time, kind, price + 1, *rest)),
        ("known too", rare),
    ):
        write_csv(tmp_path / "day-1.csv", [*day, row], EVENTS)
        config = config_of_day(tmp_path, 1, items=ItemsConfig(), users=UsersConfig(), reject_budget=0.1)
        found = append(config, made.parent, tmp_path / name)
        assert (found.lineage[-1]["known"], found.lineage[-1]["late"]) == ((0, 1) if name == "late" else (1, 0))


def test_other_columns_are_refused(made, tmp_path):
    for options, message in (
        ({"event_columns": {}, "weight": "price"}, "was prepared with `weight`='conf'"),
        ({"items": ItemsConfig("x.csv", id="other")}, "was prepared with `items`="),
    ):
        with pytest.raises(UserError, match=message):
            append(config_of_day(made.folder, 1, **options), made.parent, tmp_path / "out")
    with pytest.raises(UserError, match="was appended from other source files"):
        append(config_of_day(made.folder, 1, items=ItemsConfig()), made.parent, made.grown)


def test_targets_need_whole_histories(tmp_path):
    with pytest.raises(UserError, match="it has targets, whose positions need whole histories, and history_cap=5 removed events"):
        grow(tmp_path, targets={"type": ("view",)}, history_cap=5)


words = st.sampled_from([None, "view", "buy", "a", "b", "c"])
events = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "u3", "u4"]),
        st.sampled_from(["a", "B", "c"]),
        st.integers(0, 6),
        words,
        st.sampled_from([None, 0.5, -2.0]),
        st.none(),
        st.sampled_from([1.0, 0.25]),
    ),
    min_size=1,
    max_size=12,
)
ALWAYS = [
    *((user, item, 0, "view", 1.0, None, 1.0) for user in ("u1", "u2") for item in "aBc"),
    ("u1", "a", 0, "buy", 1.0, None, 1.0),
]
"""Two of the four events of u1 are trained on, whatever else is in the log."""
makes = st.sampled_from(["x", "y", "z"])


@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow])
@given(events, events, st.integers(1, 4), st.lists(makes, min_size=5, max_size=5))
def test_any_two_days_equal_a_full_prepare(first, second, cut, made_by):
    rows = [(item, "g|h" if n % 2 else None, made_by[n], n / 2, None) for n, item in enumerate(["a", "d", "B", "e", "c"])]
    known = {"u2", *(event[0] for event in first)}
    people = [[(f"u{n + 1}", made_by[n], n) for n in range(4) if (f"u{n + 1}" in known) == (day == 0)] for day in (0, 1)]
    days = [
        ColumnedDay([(user, item, START + 100 * n + time, *rest) for user, item, time, *rest in log], *tables)
        for n, (log, tables) in enumerate((([*ALWAYS, *first], (rows[:cut], people[0])), (second, (rows[cut:], people[1]))))
    ]
    with tempfile.TemporaryDirectory() as folder:
        refuse_difference(grow(Path(folder), (days[0], days[1]), block_rows=2))
