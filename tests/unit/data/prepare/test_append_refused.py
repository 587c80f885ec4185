"""What cannot be appended is refused in one line, and nothing is written; late and known events are counted."""

from __future__ import annotations

import fcntl
import json
import os
import shutil

import pyarrow.parquet as pq
import pytest

import ltrec
from ltrec.cli.main import main
from ltrec.core.errors import UserError
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.append.pipeline import append
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.verify.dataset import verify
from tests.support.appended import DAY, config_of, content, day_of, make_grown, rows_of, two_days
from tests.support.logs import START, write_csv

LATER = START + 5 * DAY


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_grown(tmp_path_factory.mktemp("made"), full=False)


def stored(made):
    """An event of the parent that is not its user's newest."""
    row = next(row for table in rows_of(made.parent) for row in table.to_pylist() if row["times"][0] < row["times"][-1])
    items = pq.read_table(made.parent / made.manifest("parent").vocab.path)["item_id"]
    return row["user_id"], items[row["items"][0] - 1].as_py(), row["times"][0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"history_cap": 7}, "was prepared with `history_cap`=10000, not 7"),
        ({"user": "item_id", "item": "user_id"}, "was prepared with `user`='user_id'"),
        ({"min_user_events": 2}, "was prepared with `min_user_events`=1, not 2"),
        ({"engine": "spark"}, "--append runs in duckdb, not in engine=spark"),
        ({"weight": "timestamp"}, "was prepared with `weight`="),
        ({"time_unit": "ms"}, "was prepared with `time_unit`='s', not 'ms'"),
    ],
    ids=str,
)
def test_other_options_are_refused(made, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        append(config_of(made.folder / "day-1.csv", **options), made.parent, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_options_that_are_not_given_are_the_parents(tmp_path):
    made = make_grown(tmp_path, full=False, history_cap=5, ties="hash", name="mine")
    again = append(PrepareConfig(sources=(str(tmp_path / "day-1.csv"),), name="mine"), made.parent,
                   tmp_path / "again")  # fmt: skip
    assert again == made.manifest("grown")


def test_places_that_cannot_be(made, tmp_path):
    config = config_of(made.folder / "day-1.csv")
    for out, message in (
        (made.parent, "is the data set that is appended to"),
        (made.parent / "inside", "lies inside the data set that is appended to"),
        (made.folder, "holds the data set that is appended to"),
    ):
        with pytest.raises(UserError, match=message):
            append(config, made.parent, out)
    with pytest.raises(UserError, match=r"is not a prepared data set"):
        append(config, tmp_path, tmp_path / "out")
    both = {"append": made.parent, "like": made.parent}
    for places in ({"append": "s3://bucket/set"}, {"like": "file:///set"}, both, {"recut": True}, {"reach": True}):
        with pytest.raises(UserError, match="--append"):
            ltrec.prepare(made.folder / "day-1.csv", out=tmp_path / "out", **places)


def test_a_parent_that_is_written_or_damaged_is_refused(made, tmp_path):
    config, parent = config_of(made.folder / "day-1.csv"), tmp_path / "parent"
    shutil.copytree(made.parent, parent)
    holder = os.open(parent, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(UserError, match=r"another ltrec prepare is writing .*parent; wait for it, then append"):
        append(config, parent, tmp_path / "out")
    os.close(holder)
    path = parent / Manifest.load(parent).shards[0].path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"part-00000-.* is damaged: its sha256 is not the manifest's"):
        append(config, parent, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_appends_may_read_one_parent(made, tmp_path):
    holder = os.open(made.parent, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_SH)
    append(config_of(made.folder / "day-1.csv"), made.parent, tmp_path / "out")
    os.close(holder)


def test_another_data_set_in_the_folder_is_not_replaced(made, tmp_path):
    other = write_csv(tmp_path / "other.csv", [("u1", "i1", LATER)])
    with pytest.raises(UserError, match="was appended from other source files"):
        append(config_of(other), made.parent, made.grown)
    with pytest.raises(UserError, match="was not made by appending to this data set"):
        append(config_of(other), made.grown, made.parent)
    with pytest.raises(UserError, match="holds the data set 'x'"):
        append(config_of(made.folder / "day-1.csv", name="y"), made.parent, made.grown)
    with pytest.raises(UserError, match="has item ids of other data, or was appended to"):
        prepare(config_of(made.folder / "day-0.csv"), made.grown)


def test_the_same_file_twice_is_refused(made, tmp_path):
    again = tmp_path / "again.csv"
    shutil.copy(made.folder / "day-0.csv", again)
    with pytest.raises(UserError, match=r"again.csv is in .*parent already, as day-0.csv; its events would count twice"):
        append(config_of(again), made.parent, tmp_path / "out")


def test_late_events_are_counted_within_the_budget_and_refused_beyond(made, tmp_path):
    user, _, time = stored(made)
    day = [*two_days()[1], (user, "late", time)]
    late = write_csv(tmp_path / "late.csv", day)
    with pytest.raises(UserError, match=rf"1 of {len(day)} events .* not later than the newest of their user .* '{user}'"):
        append(config_of(late), made.parent, tmp_path / "out")
    found = append(config_of(late, reject_budget=0.1), made.parent, tmp_path / "out")
    assert found.summary["late"] == found.lineage[-1]["late"] == 1
    assert rows_of(tmp_path / "out") == rows_of(made.grown)
    assert verify(tmp_path / "out").summary["rows"] == made.manifest("grown").summary["rows"] + 1


def test_events_that_the_parent_has_are_duplicates(made, tmp_path):
    known = stored(made)
    both = write_csv(tmp_path / "both.csv", [*two_days()[1], known])
    found = append(config_of(both), made.parent, tmp_path / "out")
    assert found.lineage[-1]["known"] == 1 and found.summary["late"] == 0
    assert rows_of(tmp_path / "out") == rows_of(made.grown)
    only = write_csv(tmp_path / "only.csv", [known])
    with pytest.raises(UserError, match="has all of these events already; nothing was written"):
        append(config_of(only), made.parent, tmp_path / "none")


def test_a_day_of_one_user_is_enough(made, tmp_path):
    one = write_csv(tmp_path / "one.csv", [("new", "i0", LATER)])
    found = append(config_of(one), made.parent, tmp_path / "out")
    verify(tmp_path / "out")
    assert (found.lineage[-1]["users"], found.lineage[-1]["new_users"], found.lineage[-1]["new_items"]) == (1, 1, 0)


def test_like_needs_every_item(made, tmp_path):
    few = write_csv(tmp_path / "few.csv", day_of(0, range(20), 60, 3))
    with pytest.raises(UserError, match=r"items of .* are not in these logs, so its ids cannot stay"):
        prepare(config_of(few), tmp_path / "out", like=made.parent)


def test_rejects_of_both_days_are_kept(tmp_path):
    first, second = two_days()
    made = make_grown(tmp_path, ([*first, (None, "i", START)], [*second, ("u", None, LATER)]), full=False, reject_budget=0.1)
    found = verify(made.grown)
    assert found.summary["rejected"] == 2 and found.summary["rejects"] == {"null item": 1, "null user": 1}
    assert pq.read_table(made.grown / found.summary["rejects_file"]["path"])["file"].to_pylist() == ["day-0.csv", "day-1.csv"]
    third = write_csv(tmp_path / "third.csv", [("u1", "i1", LATER)])
    append(config_of(third, reject_budget=0.1), made.grown, tmp_path / "next")
    assert verify(tmp_path / "next").summary["rejects_file"] == found.summary["rejects_file"]


def test_the_command_says_what_the_day_changed(made, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["prepare", str(made.folder / "day-1.csv"), "--append", str(made.parent), "--out", str(out), "name=x"]
    assert main(words) == 0
    step, shown = made.manifest("grown").lineage[-1], " ".join(capsys.readouterr().out.split())
    assert f"of {step['users']} users ({step['new_users']} new), {step['new_items']} new items" in shown
    assert f"crossed {step['crossed']}" in shown
    assert content(out) == content(made.grown)
    assert main(["inspect", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lineage"] == [step]
