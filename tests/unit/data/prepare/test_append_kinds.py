"""Splits by time, logs without times and one event per user and item: each grows as a full prepare would have made it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.data.prepare.append.pipeline import append
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.prepare.readers.sources import find_sources
from ltrec.data.verify.dataset import verify
from tests.support.appended import Grown, config_of, make_grown, rows_of, two_days
from tests.support.columned_days import grow
from tests.support.logs import START, write_csv

NOT_EXACT = {"reach", "late"}
REPLACED = {*NOT_EXACT, "ties", "first_time"}
"""What an event that made way for a later one counted for."""


def refuse_difference(made: Grown, apart: set[str] = NOT_EXACT) -> None:
    mine, full = made.manifest("grown"), made.manifest("full")
    pairs = list(zip(rows_of(made.grown), rows_of(made.full), strict=True))
    assert pairs
    for one, other in pairs:
        assert one.schema == other.schema and str(one.to_pydict()) == str(other.to_pydict())
    assert (mine.vocab, mine.strata, mine.split) == (full.vocab, full.strata, full.split)
    assert {k: v for k, v in mine.summary.items() if k not in apart} == {k: v for k, v in full.summary.items() if k not in apart}
    verify(made.grown)


BY_TIME = {"split": "global_time", "valid_from": "0.6", "test_from": "0.8"}


@pytest.mark.parametrize("options", [{}, {"held_out_users": 0.3, "strata": 2}, {"test_from": str(START + 30_000)}], ids=str)
def test_cuts_of_time_stay(tmp_path, options):
    made = make_grown(tmp_path, **{**BY_TIME, **options})
    refuse_difference(made)
    before, after = (made.manifest(name) for name in ("parent", "grown"))
    assert before.split == after.split and before.split["test_time"]
    assert after.summary["test_targets"] > before.summary["test_targets"]


def test_a_cut_of_time_holds_for_like_too_unless_cut_anew(tmp_path):
    made = make_grown(tmp_path, **BY_TIME)
    anew = prepare(
        config_of(tmp_path / "day-0.csv", tmp_path / "day-1.csv", **BY_TIME), tmp_path / "anew", like=made.parent, recut=True
    )
    assert anew.split["test_time"] > made.manifest("full").split["test_time"]
    with pytest.raises(UserError, match=r"--recut would move the cuts of time of .*, a share of the events \(0.6\)"):
        append(config_of(tmp_path / "day-1.csv"), made.parent, tmp_path / "out", recut=True)


def test_dates_stay_where_they_are_when_strata_are_cut_anew(tmp_path):
    dates = {"split": "global_time", "valid_from": str(START + 20_000), "test_from": str(START + 30_000)}
    refuse_difference(make_grown(tmp_path, recut=True, strata=3, **dates))


def test_cuts_of_time_with_columns_and_targets(tmp_path):
    made = grow(tmp_path, targets={"type": ("view",)}, strata_by="targets", **BY_TIME)
    refuse_difference(made, {*NOT_EXACT, "item_table", "user_table"})
    assert made.manifest("grown").column_files == made.manifest("full").column_files


@pytest.mark.parametrize("rule", ["keep_first", "keep_last"])
def test_one_event_per_user_and_item(tmp_path, rule):
    made = make_grown(tmp_path, duplicates=rule)
    refuse_difference(made, REPLACED if rule == "keep_last" else {*NOT_EXACT, "ties"})
    step, (first, second) = made.manifest("grown").lineage[-1], two_days()
    again = {row[:2] for row in first} & {row[:2] for row in second}
    assert len(again) > 5 and step["late"] == 0
    assert (step["known"], step.get("replaced", 0)) == ((len(again), 0) if rule == "keep_first" else (0, len(again)))


@pytest.mark.parametrize(("rule", "known", "late"), [("keep_first", 60, 20), ("keep_last", 20, 60)])
def test_one_of_two_early_events_of_a_pair_is_known_the_other_late(tmp_path, rule, known, late):
    """u1 has b at 50 and its newest event at 90: b at 60 is repeated if the first counts, and late if the last does."""
    log = [("u1", "a", START), ("u1", "b", START + 50), ("u1", "c", START + 90), ("u2", "a", START), ("u2", "b", START + 9)]
    made = make_grown(tmp_path, (log, [("u2", "new", START + 500)]), full=False, duplicates=rule)
    for name, seconds, expected in (("known", known, (1, 0)), ("late", late, (0, 1))):
        day = write_csv(tmp_path / f"{name}.csv", [("u2", "new", START + 500), ("u1", "b", START + seconds)])
        step = append(config_of(day, reject_budget=0.9), made.parent, tmp_path / name).lineage[-1]
        assert (step["known"], step["late"]) == expected


def order_of(folder: Path, form: str) -> dict:
    """Two days without times in `form`: positions in the log, sequences of users, or numbers of which only the order counts."""
    for number, rows in enumerate(two_days()):
        rows = sorted(rows, key=lambda row: row[2])
        if form == "sequences":
            users = {user: " ".join(item for other, item, _ in rows if other == user) for user, *_ in rows}
            (folder / f"day-{number}.csv").write_text("".join(f"{user} {items}\n" for user, items in users.items()))
        elif form == "places":
            write_csv(folder / f"day-{number}.csv", [row[:2] for row in rows], ("user_id", "item_id"))
        else:
            write_csv(folder / f"day-{number}.csv", [(u, i, 5000 * number + n) for n, (u, i, _) in enumerate(rows)])
    options = {"time_unit": "order", "block_rows": 16}
    return options | (
        {"format": "sequences", "time": "order"} if form == "sequences" else {"time": "order"} if form == "places" else {}
    )


@pytest.mark.parametrize("form", ["places", "sequences", "numbers"])
def test_a_log_without_times_goes_on_where_it_ended(tmp_path, form):
    options = order_of(tmp_path, form)
    first, second = (tmp_path / f"day-{n}.csv" for n in (0, 1))
    assert len(find_sources((str(first),), options.get("format", "auto"))) == 1
    prepare(config_of(first, **options), tmp_path / "parent")
    append(config_of(second, **options), tmp_path / "parent", tmp_path / "grown")
    prepare(config_of(first, second, **options), tmp_path / "full", like=tmp_path / "parent")
    made = Grown(tmp_path, options)
    refuse_difference(made)
    before, after = made.manifest("parent").summary, made.manifest("grown").summary
    assert after["last_time"] > before["last_time"]


def test_numbers_that_begin_again_are_late(tmp_path):
    rows = [("u1", "a", 1), ("u1", "b", 2), ("u1", "c", 3), ("u2", "a", 1), ("u2", "b", 2)]
    made = make_grown(tmp_path, (rows, [("u1", "d", 9)]), full=False, time_unit="order")
    again = write_csv(tmp_path / "again.csv", [("u1", "e", 1), ("u1", "f", 2)])
    with pytest.raises(UserError, match="are not later than the newest of their user"):
        append(config_of(again, time_unit="order"), made.parent, tmp_path / "out")


@pytest.mark.parametrize("options", [BY_TIME, {"duplicates": "keep_first"}], ids=str)
def test_cut_histories_are_refused_with_the_way_out(tmp_path, options):
    with pytest.raises(UserError, match=r"need whole histories, and history_cap=4 removed events; name all logs with --like"):
        make_grown(tmp_path, history_cap=4, full=False, **options)


@pytest.mark.parametrize("minimum", ["min_user_events", "min_item_events"])
def test_the_way_out_of_a_minimum_keeps_ids_and_thresholds(tmp_path, minimum):
    with pytest.raises(UserError, match=rf"with {minimum}=8, and what that dropped may reach it .*; name all logs with --like"):
        make_grown(tmp_path, full=False, **{minimum: 8})
    logs = [tmp_path / "day-0.csv", tmp_path / "day-1.csv"]
    found, parent = prepare(config_of(*logs, **{minimum: 8}), tmp_path / "out", like=tmp_path / "parent"), Grown(tmp_path, {})
    assert found.strata.lower_bounds == parent.manifest("parent").strata.lower_bounds
    assert found.summary["events"] > parent.manifest("parent").summary["events"]


events = st.lists(
    st.tuples(st.sampled_from(["u1", "u2", "u3"]), st.sampled_from("abcd"), st.integers(1, 40)), min_size=1, max_size=12
)
ALWAYS = [*((user, item, time) for user in ("u1", "u2") for time, item in enumerate("abc")), ("u1", "d", 45)]


@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow])
@given(events, events, st.sampled_from([BY_TIME, {"duplicates": "keep_first"}, {"duplicates": "keep_last"}]), st.booleans())
def test_any_two_days_equal_a_full_prepare(first, second, options, ordered):
    kind = {**options, "time_unit": "order"} if ordered else options
    days = [
        [(u, i, (0 if ordered else START) + 100 * n + t) for u, i, t in log] for n, log in enumerate(([*ALWAYS, *first], second))
    ]
    days[1].append(("u4", "a", days[1][0][2]))  # a day without any new pair is refused
    with tempfile.TemporaryDirectory() as folder:
        refuse_difference(make_grown(Path(folder), (days[0], days[1]), block_rows=2, **kind), REPLACED)
