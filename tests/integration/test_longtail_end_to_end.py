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
from tests.support.timeouts import scaled

SMALL = ["stream.batch_rows=48", "stream.max_len=12", "model.width=16", "trainer.max_epochs=2"]


def words(logs, out):
    fixed = ["--logs", logs, "--out", out, "--results", out / "results", "--log", "steam", "--models", "sasrec", "--seeds", "0,1"]
    return [str(word) for word in [sys.executable, "-m", "benchmarks.longtail", *fixed, "--jobs", 2, "--set", *SMALL]]


def lines(out):
    path = out / "results" / "facts-steam-sasrec.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(command):
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=scaled(600), check=False)
    assert done.returncode == 0, done.stderr
    return done


def begin_and_kill(command, out):
    """The benchmark alone, not the runs that it has under way; what was written by then."""
    first = subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + scaled(200)
    while not lines(out) and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    return lines(out)


def check_lines(found):
    """Every setting with seed 0, the best with both, and every variant; its validation is that of training, or of the grid."""
    trained, ranked = ([line for line in found if line["phase"] == phase] for phase in ("trained", "ranked"))
    tuned = [line for line in trained if line["seed"] == 0]
    best = max(tuned, key=lambda line: line["validation"]["all"]["ndcg@10"])["setting"]
    assert len(tuned) == len(tables.SASREC) == len(trained) - 1, "seed 0 of the chosen setting was trained again, or seed 1 not"
    of_one, of_two = tables.variants("joint"), tables.variants_of_two("joint")
    expected = {(variant, seed) for variant in of_one for seed in (0, 1)} | {(variant, 0) for variant in of_two}
    assert {(line["variant"], line["seed"]) for line in ranked} == expected and {line["setting"] for line in ranked} == {best}
    by_key = {line["key"]: line for line in trained}
    for line in ranked:
        known = by_key[line["key"].partition(":")[0]]["validation"]["all"]["ndcg@10"] if line["variant"] == "ema" else None
        if line["variant"] in ("mix", "log", "two-mix"):
            known = max(line["chosen"]["ndcg@10"])
        assert known is None or line["validation"]["all"]["ndcg@10"] == pytest.approx(known, abs=2e-5), line["variant"]
    return best


@pytest.mark.slow  # a dozen processes
@pytest.mark.timeout(900)
def test_end_to_end(tmp_path):
    """Killed in its middle, with its run going on; then finished; then repeated without run folders, which does nothing; one run
    made again."""
    events = fetch_synthetic(SyntheticConfig(users=200, items=150, events_per_user=12.0), tmp_path / "made")
    (tmp_path / "steam").mkdir()
    shutil.copy(events, tmp_path / "steam" / "events.parquet")
    command, results = words(tmp_path, tmp_path), tmp_path / "results"
    early = begin_and_kill(command, tmp_path)
    assert early and all(line["phase"] == "trained" and line["seed"] == 0 for line in early)
    assert not list(results.glob("steam-sasrec-*")), "the test split was ranked while tuning"

    run(command)
    found = lines(tmp_path)
    assert found[: len(early)] == early
    best = check_lines(found)
    ranks, users = (pq.read_table(results / name) for name in ("steam-sasrec-joint-ema.parquet", "steam.users.parquet"))
    assert ranks.column_names == ["seed0", "seed1"] and ranks.num_rows == users.num_rows
    page = results / "longtail.md"
    assert f"**{best}**" in page.read_text() and "| joint mix against joint ema | steam |" in page.read_text()

    page.unlink()
    shutil.rmtree(tmp_path / "runs")
    assert "begins" not in run(command).stderr
    assert lines(tmp_path) == found and page.exists()

    again = [sys.executable, "-m", "benchmarks.longtail.rerun", "steam", "sasrec", "joint", "1", "--logs", tmp_path]
    told = run([str(word) for word in (*again, "--out", tmp_path / "again", "--results", results)]).stdout
    assert len(told.splitlines()) == told.count("; 0 of 200 users have another rank") == len(tables.variants("joint"))
