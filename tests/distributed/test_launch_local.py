"""`ltrec launch local` for real: two processes, a trace of a few steps, tracking, a key that is never shown; and two runs."""

import gzip
import json
import signal

import pytest

from tests.support.commands import KEY, ltrec, start
from tests.support.killable_job import wait_for
from tests.support.tiny_run import checkpoint, lines_of, refuse_differences, tiny_data, tiny_words
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


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory):
    """Seeds 0 and 1 of a run, one after the other."""
    place = tmp_path_factory.mktemp("seeds")
    words = tiny_words(tiny_data(place / "data"), place, "name=a", "trainer.log_every_steps=1")
    done = ltrec("launch", "local", *words, "--array-seeds", "0-1")
    return place, words, done


@pytest.mark.slow
def test_two_seeds_train_like_two_runs_and_are_named_at_the_end(two_seeds):
    place, words, done = two_seeds
    assert "[1/2] a-seed0: done" in done.stderr and "[2/2] a-seed1: done" in done.stderr
    assert "2 of 2 runs done" in done.stdout and f"ltrec evaluate {place}/a-seed0 {place}/a-seed1" in done.stdout
    assert [checkpoint(place / f"a-seed{seed}")["global_step"] for seed in (0, 1)] == [12, 12]
    assert all("run folder" in (place / f"a-seed{seed}/launch/train.log").read_text() for seed in (0, 1))
    assert lines_of(place / "a-seed0") != lines_of(place / "a-seed1")
    ltrec("train", *words, "seed=1", "name=alone", "tracking.group=a")
    refuse_differences(place / "a-seed1", place / "alone")


@pytest.mark.slow
def test_one_of_two_fails_the_other_trains_and_the_exit_code_says_so(two_seeds, tmp_path):
    place, words, _ = two_seeds
    for name, data in (("bad", "nowhere"), ("good", place / "data")):
        (tmp_path / f"{name}.yaml").write_text(f"data: {{path: '{data}'}}\n")
    words = [word for word in words if not word.startswith("data.path")]
    sweep = [str(tmp_path / "bad.yaml"), str(tmp_path / "good.yaml")]
    done = ltrec("launch", "local", *words, f"out={tmp_path}", "--sweep", *sweep, check=False)
    assert done.returncode == 1 and "1 of 2 runs done" in done.stdout
    assert "[1/2] a-bad: failed (exit 2)" in done.stderr and "nowhere" in done.stderr
    assert checkpoint(tmp_path / "a-good")["global_step"] == 12


@pytest.mark.slow
def test_ctrl_c_saves_and_repeating_the_command_resumes(two_seeds, tmp_path):
    words = [*two_seeds[1], f"out={tmp_path}", "trainer.max_epochs=100", "trainer.patience=0", "trainer.listen_every_steps=1"]
    process = start("launch", "local", *words, "--array-seeds", "0-1")
    metrics, log = tmp_path / "a-seed0" / "metrics.jsonl", tmp_path / "a-seed0" / "launch" / "train.log"
    wait_for(lambda: metrics.exists() and metrics.read_bytes().count(b"\n") > 8, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 130
    step = checkpoint(tmp_path / "a-seed0")["global_step"]
    assert 0 < step < 400 and f"stopped at step {step}" in log.read_text()
    assert not (tmp_path / "a-seed1" / "metrics.jsonl").exists()
    done = ltrec("launch", "local", *words, "--array-seeds", "0-1")
    assert f"resuming at step {step}" in log.read_text() and "2 of 2 runs done" in done.stdout
    assert [checkpoint(tmp_path / f"a-seed{seed}")["global_step"] for seed in (0, 1)] == [400, 400]
