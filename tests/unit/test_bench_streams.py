"""benchmarks/peers/streaming: all streams give the same users, and figures become ratios; nothing is installed here."""

import importlib
import json
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.peers import streaming
from benchmarks.peers.inside.measured import StreamJob, stream
from benchmarks.peers.streaming import COLUMNS, RESIDENT, STREAMS, refusal, summary, write_users
from benchmarks.peers.tables import HERE, OWN, System
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.open import open_stream

FAKE = """
import json, pathlib, sys
import pyarrow.parquet as pq
job = json.loads(pathlib.Path(sys.argv[1]).read_text())
items = pq.read_table(job["table"])["items"].to_pylist()
print(json.dumps({"system": "Fake 1", "seconds": [9.0, %s], "firsts": [1, 2], "users": len(items) - %s,
                  "ids": sum(sum(row[-job["columns"]:]) for row in items), "peak_mib": 7}))
"""


def line(turn, seconds, **changed):
    figures = {"system": "A 1", "seconds": [2 * seconds, seconds], "users": 10, "ids": 99, "firsts": [5, 6], "peak_mib": 100}
    return {"round": turn, "machine": "m", **figures, **changed}


@pytest.mark.parametrize("name", STREAMS)
def test_every_stream_has_a_script_and_pins(name):
    system = STREAMS[name]
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
        10, {OWN: [line(0, 1.0), line(1, 2.0), line(2, 4.0)], "replay": [line(0, 3.0), line(1, 6.0)], "litdata": [line(2, 4.8)]}
    )
    assert found["systems"]["replay"]["times_ltrec_s"] == 3.0 and found["systems"]["litdata"]["times_ltrec_s"] == 1.2
    assert found["systems"][OWN]["users_per_cpu_s"] == 5
    assert found["reached"] == 1.2, "of the best"
    assert summary(10, {OWN: [line(0, 1.0)]})["reached"] is None


def test_streams_of_the_same_users_are_compared(tmp_path, monkeypatch, capsys):
    """One gives a user too few."""
    scripts = {OWN: (1.0, 0), RESIDENT: (0.5, 0), "replay": (2.0, 0), "litdata": (2.0, 1)}
    for name, figures in scripts.items():
        (tmp_path / f"{name}.py").write_text(FAKE % figures)
    monkeypatch.setattr(streaming, "STREAMS", {name: System(name, tmp_path / f"{name}.py") for name in scripts})
    words = [
        "--users",
        "30",
        "--rounds",
        "1",
        "--peers",
        "replay,litdata",
        "--out",
        tmp_path / "out",
        "--results",
        tmp_path / "found.json",
    ]
    monkeypatch.setattr(sys, "argv", ["streaming", *map(str, words)])
    assert streaming.main() == 1
    told = capsys.readouterr()
    found = json.loads(told.out.splitlines()[-1])
    assert {name: one["times_ltrec_s"] for name, one in found["systems"].items()} == {OWN: 1.0, RESIDENT: 0.5, "replay": 2.0}
    assert "FAILED litdata" in told.err
    assert json.loads((tmp_path / "found.json").read_text()) == found


def test_ltrecs_batches_are_the_users_of_the_table(tmp_path, monkeypatch):
    """To the id: the last events to the right, each user once although the last step is filled."""
    monkeypatch.syspath_prepend(HERE / "inside")
    script = importlib.import_module("stream_ltrec")
    count, total = write_users(150, tmp_path)
    rows = pq.read_table(tmp_path / "table")["items"].to_pylist()
    assert count == len(rows) and total == sum(sum(row[-COLUMNS:]) for row in rows)
    wanted = sorted([0] * (COLUMNS - len(row[-COLUMNS:])) + row[-COLUMNS:] for row in rows)
    for kept, rows_of_step in ((0, 16), (64, 64)):  # of memory; and steps whose last one holds some users twice
        config = StreamConfig(batch_rows=rows_of_step, lanes=8, max_len=COLUMNS - 1, resident_mib=kept, threads=1)
        found = np.concatenate(list(script.once(open_stream(tmp_path / "data", config), COLUMNS)))
        assert sorted(found.tolist()) == wanted
    assert any(len(row) > COLUMNS for row in rows) and any(len(row) < COLUMNS for row in rows)


def test_a_stream_is_clocked_after_a_pass_that_counts(capsys):
    job = StreamJob("", "", "", 0, rows=2, columns=3, passes=2, seed=0)
    passes = []

    def batches(number):
        passes.append(number)
        return [np.full((2, 3), number + 1), np.ones((1, 3), np.int64)]

    stream(job, "A 1", batches, more=4)
    found = json.loads(capsys.readouterr().out)
    assert passes == [0, 1, 2]
    assert (found["users"], found["ids"], found["firsts"], found["more"]) == (3, 9, [12, 18], 4)
    assert len(found["seconds"]) == 2 and min(found["seconds"]) >= 0
