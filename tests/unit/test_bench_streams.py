"""benchmarks/peers/streaming: all streams give the same users, and figures become ratios; nothing is installed here."""

import importlib
import json
import os
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.peers import streaming
from benchmarks.peers.inside import measured
from benchmarks.peers.streaming import OWN, PACKED, PLAIN, RESIDENT, SETUPS, STREAMS, Setup, Stream, refusal, summary, write_users
from benchmarks.peers.tables import HERE, System
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.open import open_stream

FAKE = """
import json, pathlib, sys
jobs = json.loads(pathlib.Path(sys.argv[1]).read_text())["jobs"]
cell = {"first": 20.0, "seconds": [9.0, %s], "firsts": [1, 2, 3], "users": 30 - %s, "ids": 99, "peak_mib": 7}
print(json.dumps({"system": "Fake 1", "cells": [cell] * len(jobs)}))
"""


def line(turn, seconds, **changed):
    figures = {"first": 3 * seconds, "seconds": [2 * seconds, seconds], "users": 10, "ids": 99, "firsts": [5, 6], "peak_mib": 100}
    return {"round": turn, "machine": "m", "system": "A 1", **figures, **changed}


@pytest.mark.parametrize("name", STREAMS)
def test_every_stream_has_a_script_and_pins(name):
    system = STREAMS[name].system
    assert system.script.exists()
    assert (system.requirements is None) == (name in (OWN, RESIDENT))
    if system.requirements:
        pins = [text for text in system.requirements.read_text().splitlines() if not text.startswith("#")]
        assert all(text.count("==") == 1 for text in pins) and {"numpy", "pyarrow"} <= {text.split("==")[0] for text in pins}


def test_another_output_is_refused():
    assert refusal(line(0, 1.0), 10, 99) == ""
    assert "9 users" in refusal(line(0, 1.0, users=9), 10, 99)
    assert "sum of 98" in refusal(line(0, 1.0, ids=98), 10, 99)
    assert "shuffled" in refusal(line(0, 1.0, firsts=[5, 5]), 10, 99)


def test_ratios_are_of_runs_in_one_round():
    found = summary(
        10,
        {
            OWN: [line(0, 1.0), line(1, 2.0), line(2, 4.0)],
            RESIDENT: [line(0, 0.1)],
            "replay": [line(0, 3.0), line(1, 6.0)],
            "replay-packed": [line(0, 3.1, first=0.1)],
            "litdata": [line(2, 4.8, first=30.0)],
        },
    )
    assert found["systems"]["replay"]["times_ltrec_s"] == 3.0 and found["systems"]["litdata"]["times_ltrec_s"] == 1.2
    assert found["systems"]["litdata"]["times_first_s"] == 2.5 and found["systems"]["replay"]["rounds"] == 2
    assert found["systems"][OWN]["users_per_cpu_s"] == 5
    assert (found["reached"], found["reached_first"]) == (1.2, 2.5), (
        "of the best of the others; a packed table is never the first of its process"
    )
    assert summary(10, {OWN: [line(0, 1.0)]})["reached"] is None


def test_histories_are_short_in_one_setup():
    assert SETUPS["short"].events < SETUPS["long"].events and SETUPS["short"].columns < SETUPS["long"].columns


def test_streams_of_the_same_users_are_compared(tmp_path, monkeypatch, capsys):
    """One gives a user too few, one is measured in the first round alone, one reads both tables."""
    scripts = {OWN: (1.0, 0), RESIDENT: (0.5, 0), "replay": (2.0, 0), "datasets": (2.0, 1), "litdata": (3.0, 0)}
    more = {"replay": {"tables": (PLAIN, PACKED)}, "litdata": {"once": True}}
    for name, figures in scripts.items():
        (tmp_path / f"{name}.py").write_text(FAKE % figures)
    streams = {name: Stream(System(name, tmp_path / f"{name}.py"), **more.get(name, {})) for name in scripts}
    monkeypatch.setattr(streaming, "STREAMS", streams)
    monkeypatch.setattr(streaming, "write_users", lambda *_: (30, 99))
    words = ["--setups", "short", "--users", "30", "--rounds", "2", "--out", tmp_path / "out", "--results", tmp_path / "found.json"]
    monkeypatch.setattr(sys, "argv", ["streaming", *map(str, words), "--peers", "replay,datasets,litdata"])
    assert streaming.main() == 1
    told = capsys.readouterr()
    found = json.loads(told.out.splitlines()[-1])
    systems = found["setups"]["short"]["systems"]
    ratios = {OWN: 1.0, RESIDENT: 0.5, "replay": 2.0, "replay-packed": 2.0, "litdata": 3.0}
    assert {name: one["times_ltrec_s"] for name, one in systems.items()} == ratios
    assert (systems["replay"]["rounds"], systems["litdata"]["rounds"]) == (2, 1)
    assert "FAILED short, datasets: " in told.err
    assert json.loads((tmp_path / "found.json").read_text()) == found


def test_ltrecs_batches_are_the_users_of_the_tables(tmp_path, monkeypatch):
    """To the id: the last events to the right, each user once although the last step is filled."""
    monkeypatch.syspath_prepend(HERE / "inside")
    script, columns = importlib.import_module("stream_ltrec"), 201
    count, total = write_users(150, Setup(80.0, columns), tmp_path)
    rows = pq.read_table(tmp_path / PLAIN)["items"].to_pylist()
    assert rows == pq.read_table(tmp_path / PACKED)["items"].to_pylist()
    assert count == len(rows) and total == sum(sum(row[-columns:]) for row in rows)
    wanted = sorted([0] * (columns - len(row[-columns:])) + row[-columns:] for row in rows)
    for kept, rows_of_step in ((0, 16), (64, 64)):  # of memory; and steps whose last one holds some users twice
        config = StreamConfig(batch_rows=rows_of_step, lanes=8, max_len=columns - 1, resident_mib=kept, threads=1)
        found = np.concatenate(list(script.once(open_stream(tmp_path / "data", config), columns)))
        assert sorted(found.tolist()) == wanted
    assert any(len(row) > columns for row in rows) and any(len(row) < columns for row in rows)


def test_a_stream_is_opened_and_clocked_before_a_pass_that_counts(tmp_path, monkeypatch, capsys):
    """Streams one after the other, each with what comes before it and does not count."""
    job = {"table": "", "data": "", "kept": "", "rows": 2, "columns": 3, "passes": 2, "seed": 0}
    (tmp_path / "job.json").write_text(json.dumps({"parent": os.getppid(), "folder": str(tmp_path), "jobs": [job, job]}))
    monkeypatch.setattr(sys, "argv", ["script", str(tmp_path / "job.json")])
    monkeypatch.chdir(tmp_path)
    happened = []

    def opened(_):
        happened.append("opened")

        def batches(number):
            happened.append(number)
            return [np.full((2, 3), number + 1), np.ones((1, 3), np.int64)]

        return batches

    measured.streams("A 1", opened, lambda _: happened.append("prepared"))
    found = json.loads(capsys.readouterr().out)
    assert happened == 2 * ["prepared", "opened", 1, 2, 3, 0]
    for cell in found["cells"]:
        assert (cell["users"], cell["ids"], cell["firsts"]) == (3, 9, [12, 18, 24])
        assert len(cell["seconds"]) == 2 and min(cell["seconds"]) >= 0 and cell["first"] >= 0 and cell["peak_mib"] > 0
