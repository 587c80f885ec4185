"""benchmarks/longtail on a tiny log: it tunes without the test split, repeats nothing, survives a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from benchmarks.longtail import tables
from ltrec.data.fetch import SyntheticConfig, fetch_synthetic
from tests.support.commands import ROOT, environment

SMALL = ["stream.batch_rows=48", "stream.max_len=12", "model.width=16", "trainer.max_epochs=2"]


def words(logs, out):
    fixed = ["--logs", logs, "--out", out, "--results", out / "results", "--log", "steam", "--models", "sasrec", "--seeds", "0,1"]
    return [str(word) for word in [sys.executable, "-m", "benchmarks.longtail", *fixed, "--jobs", 2, "--set", *SMALL]]


def lines(out):
    path = out / "results" / "facts-steam-sasrec.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(command):
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow  # eight processes
def test_end_to_end(tmp_path):
    """Killed in its middle, with its run going on; then finished; then repeated without run folders, which does nothing."""
    events = fetch_synthetic(SyntheticConfig(users=200, items=150, events_per_user=12.0), tmp_path / "made")
    (tmp_path / "steam").mkdir()
    shutil.copy(events, tmp_path / "steam" / "events.parquet")
    command = words(tmp_path, tmp_path)
    first = subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 200
    while not lines(tmp_path) and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)  # the benchmark alone, not the runs that it has under way
    first.wait()
    early = lines(tmp_path)
    assert early and all(line["phase"] == "trained" and line["seed"] == 0 for line in early)
    assert not list((tmp_path / "results").glob("steam-sasrec-*")), "the test split was ranked while tuning"

    run(command)
    found = lines(tmp_path)
    assert found[: len(early)] == early
    trained = [line for line in found if line["phase"] == "trained"]
    tuned = [line for line in trained if line["seed"] == 0]
    best = max(tuned, key=lambda line: line["validation"]["all"]["ndcg@10"])["setting"]
    assert len(tuned) == len(tables.SASREC) == len(trained) - 1, "seed 0 of the chosen setting was trained again, or seed 1 not"
    ranked = {(line["variant"], line["seed"]) for line in found if line["phase"] == "ranked"}
    of_one, of_two = tables.variants("joint"), tables.variants_of_two("joint")
    assert ranked == {(variant, seed) for variant in of_one for seed in (0, 1)} | {(variant, 0) for variant in of_two}
    by_key = {line["key"]: line for line in found}
    for line in found:
        if line["phase"] == "ranked" and line["variant"] == "ema":
            of_training = by_key[line["key"].removesuffix(":ema")]["validation"]["all"]["ndcg@10"]
            assert line["setting"] == best and line["validation"]["all"]["ndcg@10"] == pytest.approx(of_training, abs=2e-5)
        if line["phase"] == "ranked" and line["variant"] in ("mix", "log", "two-mix"):
            best_of_grid = max(line["chosen"]["ndcg"])
            assert line["validation"]["all"]["ndcg@10"] == pytest.approx(best_of_grid, abs=2e-5), line["variant"]
    ranks = pq.read_table(tmp_path / "results" / "steam-sasrec-joint-ema.parquet")
    assert (
        ranks.column_names == ["seed0", "seed1"]
        and ranks.num_rows == pq.read_table(tmp_path / "results" / "steam.users.parquet").num_rows
    )
    page = tmp_path / "results" / "longtail.md"
    assert f"**{best}**" in page.read_text() and "| joint mix against joint ema | steam |" in page.read_text()

    page.unlink()
    shutil.rmtree(tmp_path / "runs")
    assert "begins" not in run(command)
    assert lines(tmp_path) == found and page.exists()

    again = [sys.executable, "-m", "benchmarks.longtail.rerun", "steam", "sasrec", "joint", "1", "--logs", tmp_path]
    done = subprocess.run(
        [str(word) for word in (*again, "--out", tmp_path / "again", "--results", tmp_path / "results")],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(of_one) and done.stdout.count("; 0 of 200 users have another rank") == len(of_one)
