"""What prepare must take, must reject and count, and must stop at."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.cli.data_tables import print_data
from ltrec.core.errors import UserError
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.verify.dataset import verify
from ltrec.terminal.screen import Screen
from tests.support.logs import START, prepared, some_events, write_csv
from tests.support.naive_prepare import is_held_out, read_back


def test_a_user_with_a_million_events_is_capped_and_counted(tmp_path):
    rng = np.random.default_rng(0)
    busy, others = 1_000_000, 3_000
    table = pa.table(
        {
            "user_id": ["bot"] * busy + [f"u{n % 500}" for n in range(others)],
            "item_id": rng.integers(0, 1000, busy + others),
            "timestamp": START + rng.permutation(busy + others),
        }
    )
    pq.write_table(table, tmp_path / "log.parquet")
    manifest = prepare(PrepareConfig(sources=(str(tmp_path / "log.parquet"),), threads=1), tmp_path / "out")
    assert (manifest.summary["capped_users"], manifest.summary["capped_events"]) == (1, busy - 10_000)
    assert manifest.strata.events[-1] >= busy - 2
    bot = read_back(tmp_path / "out")[0]["bot"]
    own = table.slice(0, busy).sort_by("timestamp").slice(busy - 10_000)
    assert bot.items == tuple(str(i) for i in own["item_id"].to_pylist())
    assert (bot.activity, bot.train_events, bot.valid_at, bot.test_at) == (busy - 2, 9_998, 9_998, 9_999)
    verify(tmp_path / "out")


def test_an_item_seen_once_duplicates_unsorted_input_tied_times_string_ids(tmp_path):
    rows = [*some_events(), ("u0", "once", START), ("u5", "once too", START), *some_events()[:10]]
    manifest = prepared(tmp_path, rows)
    assert manifest.summary["duplicates"] == 10
    assert {"once", "once too"} < {name for name, _ in read_back(tmp_path / "out")[1]}
    verify(tmp_path / "out")


def test_ties_are_broken_by_the_order_of_files_and_rows(tmp_path):
    rows = [(user, item, START) for user in "ab" for item in "zyx"]
    first, second = write_csv(tmp_path / "1.csv", rows), write_csv(tmp_path / "2.csv", [(u, i.upper(), t) for u, i, t in rows])
    prepare(PrepareConfig(sources=(str(second), str(first))), tmp_path / "out")
    assert read_back(tmp_path / "out")[0]["a"].items == ("Z", "Y", "X", "z", "y", "x")


def test_a_stratum_may_be_empty(tmp_path):
    manifest = prepared(tmp_path, strata_bounds=(1, 3, 100))
    assert manifest.strata.users[2] == manifest.strata.events[2] == 0
    verify(tmp_path / "out")


def test_null_ids_bad_times_and_short_rows_are_rejected_and_counted(tmp_path):
    path = write_csv(
        tmp_path / "log.csv", [*some_events(), (None, "i", START), ("u", None, START), ("u", "i", None), ("u", "i", "soon")]
    )
    with open(path, "a") as file:
        file.write("only one field\n")
    prepare(PrepareConfig(sources=(str(path),), reject_budget=0.2), tmp_path / "out")
    manifest = verify(tmp_path / "out")
    first = len(some_events()) + 2
    assert manifest.summary["rejects"] == {
        "null user": 1,
        "null item": 1,
        "null time": 1,
        "bad time": 1,
        "1 fields instead of 3": 1,
    }
    rejects = pq.read_table(tmp_path / "out" / manifest.summary["rejects_file"]["path"]).to_pylist()
    assert [(r["row"], r["reason"]) for r in rejects] == [
        (first, "null user"),
        (first + 1, "null item"),
        (first + 2, "null time"),
        (first + 3, "bad time"),
        (first + 4, "1 fields instead of 3"),
    ]
    assert rejects[3]["content"] == "user=u item=i time=soon"
    assert rejects[4]["content"] == "only one field"


def test_over_the_budget_only_the_rejects_are_written(tmp_path):
    with pytest.raises(UserError, match=r"1 of \d+ rows rejected .* 1 x null user \(log\.csv:\d+\); see .*over-budget\.parquet"):
        prepared(tmp_path, [*some_events(), (None, "i", START)])
    assert [p.name for p in (tmp_path / "out").rglob("*")] == ["_rejects", "over-budget.parquet"]
    prepared(tmp_path)
    assert not (tmp_path / "out" / "_rejects").exists()


@pytest.mark.parametrize("where", ["", "item_id <> 'x'"])
def test_a_log_of_which_no_row_is_left_is_told_by_its_rejects(tmp_path, where):
    rows = [(None, "i", START), (None, "j", START), *([("u", "x", START)] if where else [])]
    with pytest.raises(UserError, match=r"2 of . rows rejected .* 2 x null user .*, then fix the log, of which no row is left$"):
        prepared(tmp_path, rows, where=where, reject_budget=1.0)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([], {}, r"log\.csv: no events, only headers"),
        ([("one", f"i{n}", START + n) for n in range(9)], {}, r"only one user is left \('one'\)"),
        (None, {"min_user_events": 100}, r"no events are left with `min_user_events`=100"),
        ([("a", "x", START), ("b", "x", START)], {}, "no user has two training events"),
        (None, {"held_out_users": 1.0}, "no user has a training event"),
        (None, {"memory_limit": "lots"}, r"`memory_limit` must be an amount such as 1GB or 500MB; got 'lots'"),
        (None, {"split": "global_time", "valid_from": "0.9", "test_from": "0.5"}, r"`valid_from`=0\.9 and `test_from`=0\.5"),
        (None, {"split": "global_time", "valid_from": "2013-01-01", "test_from": "2030-01-01"}, "must not be before test"),
        (None, {"split": "global_time", "valid_from": "nan"}, "valid_from"),
        (None, {"split": "global_time", "valid_from": "inf"}, "valid_from"),
        (None, {"split": "global_time", "valid_from": "later"}, r"`valid_from` must be .* got 'later'"),
    ],
)
def test_stops_with_one_line_and_leaves_nothing(tmp_path, rows, options, message):
    with pytest.raises(UserError, match=message) as stop:
        prepared(tmp_path, rows, **options)
    assert "\n" not in str(stop.value)
    assert not (tmp_path / "out").exists()


def test_cuts_as_dates_and_seconds(tmp_path):
    manifest = prepared(tmp_path, split="global_time", valid_from="2014-05-13T17:09:58Z", test_from=str(START + 999))
    assert manifest.split == {"kind": "global_time", "cold_users": 0.0, "valid_time": START + 998, "test_time": START + 999}


def test_held_out_users_are_kept_out_of_training_but_have_a_test_target(tmp_path):
    manifest = prepared(tmp_path, some_events(60), held_out_users=0.3, held_out_seed=5)
    config = PrepareConfig(held_out_users=0.3, held_out_seed=5)
    rows, vocabulary = read_back(tmp_path / "out")
    held_out = {user for user in rows if is_held_out(user, config)}
    assert 5 < len(held_out) < 35 and manifest.summary["held_out_users"] == len(held_out)
    assert {user for user, row in rows.items() if row.stratum == -1} == held_out
    assert all(rows[user].test_at == len(rows[user].items) - 1 for user in held_out if len(rows[user].items) > 1)
    assert sum(count for _, count in vocabulary) == sum(row.train_events for row in rows.values() if row.stratum >= 0)


def test_the_manifest_records_a_renamed_option_under_its_first_name(tmp_path):
    """Else every data set would have another digest: checkpoints and results would no longer know their data."""
    manifest = prepared(tmp_path, some_events(60), held_out_users=0.3)
    assert (manifest.options["cold_users"], manifest.options["cold_seed"], manifest.split["cold_users"]) == (0.3, 0, 0.3)
    assert not {"held_out_users", "held_out_seed"} & {*manifest.options}
    with pytest.raises(UserError, match=r"was prepared with `held_out_users`=0\.3, not 0\.0; use --overwrite"):
        prepared(tmp_path, some_events(60))


def content(folder: Path):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_log_gives_the_same_bytes_in_any_folder_and_with_any_resources(tmp_path):
    prepared(tmp_path / "one", some_events(50), block_rows=4, shard_events=20)
    prepared(tmp_path / "elsewhere" / "two", some_events(50), block_rows=4, shard_events=20, threads=4, memory_limit="200MB")
    assert content(tmp_path / "one" / "out") == content(tmp_path / "elsewhere" / "two" / "out")


def test_repeating_is_a_no_op_and_changes_need_overwrite(tmp_path):
    heard = []
    first = prepared(tmp_path)
    before = {p: os.stat(p).st_mtime_ns for p in (tmp_path / "out").rglob("*")}
    config = PrepareConfig(name="x", sources=(str(tmp_path / "log.csv"),), threads=2)
    assert prepare(config, tmp_path / "out", lambda stage, done, total: heard.append(stage)) == first
    assert heard[-1] == "unchanged" and before == {p: os.stat(p).st_mtime_ns for p in (tmp_path / "out").rglob("*")}
    with pytest.raises(UserError, match="was prepared with `history_cap`=10000, not 5; use --overwrite"):
        prepared(tmp_path, history_cap=5)
    with pytest.raises(UserError, match="was prepared from other source files"):
        prepared(tmp_path, some_events(13))
    with pytest.raises(UserError, match="holds the data set 'x'"):
        prepared(tmp_path, some_events(), name="y")
    assert Manifest.load(tmp_path / "out") == first
    prepare(PrepareConfig(name="x", sources=(str(tmp_path / "log.csv"),), history_cap=5), tmp_path / "out", overwrite=True)
    assert verify(tmp_path / "out").options["history_cap"] == 5


def test_a_data_set_of_an_older_ltrec_loads_and_is_replaced_only_when_asked(tmp_path):
    old = prepared(tmp_path)
    options = {key: value for key, value in old.options.items() if key not in ("ties", "tie_seed")}
    summary = {key: value for key, value in old.summary.items() if key not in ("ties", "notes", "duplicate_rule")}
    replace(old, options=options, summary=summary).save(tmp_path / "out")
    assert verify(tmp_path / "out").options == options
    print_data(Manifest.load(tmp_path / "out"), Screen())
    with pytest.raises(
        UserError, match="was prepared by an older ltrec without the option `ties`; use it as it is, or --overwrite"
    ):
        prepared(tmp_path)


def test_a_failed_overwrite_keeps_the_old_data_set(tmp_path):
    first = prepared(tmp_path)
    write_csv(tmp_path / "log.csv", [*some_events(), (None, "i", START)])
    with pytest.raises(UserError, match="rejected"):
        prepare(PrepareConfig(name="x", sources=(str(tmp_path / "log.csv"),)), tmp_path / "out", overwrite=True)
    assert verify(tmp_path / "out") == first


def test_a_log_that_grows_while_it_is_read_stops(tmp_path):
    path = write_csv(tmp_path / "log.csv", some_events())

    def grow(stage, done, total):
        if stage == "read":
            with open(path, "a") as file:
                file.write("late,i1,1400000000\n")

    with pytest.raises(UserError, match=r"log\.csv changed while it was being read"):
        prepare(PrepareConfig(sources=(str(path),)), tmp_path / "out", grow)
    assert not (tmp_path / "out").exists()
