"""`ltrec launch local` for real: two processes, a trace of a few steps, tracking, and a key that nobody may ever see."""

import gzip
import json

import pytest

from tests.support.commands import KEY, ltrec
from tests.support.tiny_run import checkpoint, tiny_data, tiny_words
from tests.support.wandb_file import files, history, run_of


@pytest.mark.slow
def test_two_processes_write_one_trace_one_tracked_run_and_no_key(tmp_path):
    words = tiny_words(tiny_data(tmp_path / "data"), tmp_path, "tracking.wandb=online", "tracking.artifacts=all")
    home = {"HOME": str(tmp_path / "home"), "NETRC": str(tmp_path / "netrc")}
    nobody = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    done = ltrec("launch", "local", *words, "--processes", "2", "--profile", "3", **home, **nobody)
    run = tmp_path / "r"
    assert checkpoint(run)["global_step"] == 12
    with gzip.open(run / "profile" / "trace.json.gz") as file:
        names = [event.get("name", "") for event in json.load(file)["traceEvents"] if event.get("ph") == "X"]
    assert len([name for name in names if name.startswith("Optimizer.step#")]) == 3
    assert "profile of 3 step(s)" in done.stderr and done.stderr.count("going on offline") == 1
    [tracked] = files(run)
    assert run_of(tracked).run_id.startswith("r-") and history(tracked)
    assert KEY not in done.stdout + done.stderr
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"config.yaml", "provenance.json", "metrics.jsonl", "trace.json.gz"} <= {path.name for path in kept}
    assert [str(path) for path in kept if KEY.encode() in path.read_bytes()] == []
