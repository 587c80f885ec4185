"""`ltrec prepare` and `ltrec verify` as a user meets them: exit codes, one line per mistake, tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ltrec.api.prepare import sort_arguments
from ltrec.cli.main import main
from tests.support.commands import limited
from tests.support.logs import START, some_events, write_csv

ROOT = Path(__file__).parents[2]


def test_prepare_then_verify(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "logs" / "1.csv", [("bot", f"i{n % 7}", START + n) for n in range(50)], ("uid", "item_id", "timestamp"))
    write_csv(
        tmp_path / "logs" / "2.csv", [*some_events(), *some_events()[:3], (None, "i", START)], ("uid", "item_id", "timestamp")
    )
    words = [
        "prepare",
        "logs/*.csv",
        "--out",
        "data",
        "--user",
        "uid",
        "history_cap=20",
        "prepare.reject_budget=0.1",
        "held_out_users=0.1",
    ]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "rejected" in shown and "1 x null user" in shown and "duplicates" in shown and "capped" in shown and "head: " in shown
    assert main(words) == 0
    assert "up to date" in capsys.readouterr().err
    assert main(["verify", "data"]) == 0
    assert "is intact" in capsys.readouterr().err
    shard = next(Path("data").glob("stratum=*/part-*"))
    shard.write_bytes(shard.read_bytes()[:-9] + b"x" + shard.read_bytes()[-8:])
    assert main(["verify", "data"]) == 2
    assert shard.name in capsys.readouterr().err
    assert main(words) == 0
    assert "data was damaged and has been prepared again" in capsys.readouterr().err
    assert main(["verify", "data"]) == 0


def test_what_was_decided_about_times_and_ties_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write_csv(tmp_path / "log.csv", [(f"u{u}", f"{i}", f"{13 + u % 5}.11.2023") for u in range(30) for i in range(9)])
    assert main(["prepare", "log.csv", "--out", "data"]) == 0
    shown = capsys.readouterr().out
    assert "1 file(s), times as %d.%m.%Y" in shown
    assert "89% of events tie with the one before; inside ties item ids rise in 100%: order taken from a hash" in shown
    assert "note" in shown and "times are days: the order within a day is unknown" in shown
    assert main(["prepare", "log.csv", "--out", "source", "ties=source", "--time-format", "%d.%m.%Y"]) == 0
    assert "order of the log kept" in capsys.readouterr().out
    assert main(["prepare", "log.csv", "--out", "other", "time_format=%m/%d/%Y"]) == 2
    assert "'13.11.2023' is not a time with prepare.time_format='%m/%d/%Y'" in capsys.readouterr().err


def test_a_config_file_names_sources_and_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "log.csv", some_events())
    (tmp_path / "my.yaml").write_text("prepare:\n  sources: [log.csv]\n  strata: 2\ndata:\n  path: there\n")
    assert main(["prepare", "my.yaml", "strata=3"]) == 0
    assert main(["prepare", "--config", "my.yaml", "prepare.strata=3"]) == 0
    assert "up to date" in capsys.readouterr().err
    assert (tmp_path / "there" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["prepare", "log.csv"], "where to?"),
        (["prepare", "--out", "o"], "no event log named"),
        (["prepare", "lok.csv", "--out", "o"], "lok.csv not found (did you mean 'log.csv'?)"),
        (["prepare", "log.csv", "--out", "o", "--item", "item"], "no column 'item' (did you mean 'item_id'?)"),
        (["prepare", "log.csv", "--out", "o", "histroy_cap=3"], "did you mean 'prepare.history_cap'?"),
        (["prepare", "log.csv", "--out", "o", "history_cap=many"], "history_cap"),
        (["prepare", "log.csv", "--out", "o", "history_cap=2"], "must be at least 3"),
        (
            ["prepare", "log.csv", "--out", "o", "min_user_events=99"],
            "no events are left with prepare.min_user_events=99, prepare.min_item_events=1; lower them",
        ),
        (["prepare", "log.csv", "--out", "o", "cold_users=0.2"], "is of an earlier ltrec: it is now prepare.held_out_users=0.2"),
        (["prepare", "log.csv", "--out", "o", "--split", "random"], "leave_one_out"),
        (["prepare", "empty.csv", "--out", "o"], "empty.csv is empty"),
        (["verify", "o"], "is not a prepared data set"),
    ],
)
def test_mistakes_are_answered_in_one_line(tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "log.csv", some_events())
    (tmp_path / "empty.csv").touch()
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert message in shown and shown.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_settings_and_sources_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dt=2020").mkdir()
    (tmp_path / "dt=2020" / "x.csv").touch()
    words = ["a.csv", "dt=2020", "dt=*/x.csv", "strata=2", "prepare.time=t", "data.path=d", "conf.yaml"]
    assert sort_arguments(words) == (
        [Path("conf.yaml")],
        ["prepare.strata=2", "prepare.time=t", "data.path=d"],
        ["a.csv", "dt=2020", "dt=*/x.csv"],
    )


@pytest.mark.parametrize("kib", [1, 100])
def test_a_full_disk_is_one_line_and_nothing_half_written(tmp_path, kib):
    """A limit on the size of any file stands in for the disk; the smallest stops the first table, the larger ones later steps."""
    rows = [(f"user {n % 997}", f"item {n % 1009}", START + n * 7919 % 100_000) for n in range(30_000)]
    log = write_csv(tmp_path / "log.csv", rows)
    command = [sys.executable, "-m", "ltrec", "prepare", str(log), "--out", str(tmp_path / "out"), "threads=1"]

    done = subprocess.run(limited(kib << 10, *command), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "no space left" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
