"""benchmarks/methods.py on a tiny log: it tunes without the test split, repeats nothing, survives a kill, and its tables hold."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from benchmarks.harness.conf_methods import FILES
from ltrec.config.load import dump, load
from ltrec.data.fetch import SyntheticConfig, fetch_synthetic
from tests.support.commands import ROOT, environment
from tests.support.timeouts import scaled

SCRIPT = ROOT / "benchmarks" / "methods.py"
SMALL = ["stream.batch_rows=48", "stream.max_len=12", "model.width=16", "trainer.max_epochs=2"]


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import methods_tables

    return methods_tables


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    events = fetch_synthetic(SyntheticConfig(users=200, items=150, events_per_user=12.0), folder / "made")
    (folder / "steam").mkdir()
    shutil.copy(events, folder / "steam" / "events.parquet")
    return folder


def words(logs, out, *more):
    fixed = ["--logs", logs, "--out", out, "--results", out / "results", "--data", "steam", "--methods", "joint"]
    return [str(word) for word in [sys.executable, SCRIPT, *fixed, *more, "--set", *SMALL]]


def lines(out):
    path = out / "results" / "methods-steam.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_settings_load_and_differ(tables):
    """On every data set a method's settings are accepted, and no two are the same."""
    for protocol in tables.PROTOCOLS.values():
        for config in protocol.configs.values():
            for method in protocol.methods:
                files = [ROOT / config, FILES[method][0]]
                assert all(re.fullmatch("[a-z-]+", name) for name in protocol.settings.get(method, {})), "a part of folder names"
                trees = [dump(load(files, words)) for words in protocol.settings.get(method, {tables.PLAIN: ()}).values()]
                assert len(set(trees)) == len(trees), f"{method} in {config}"


@pytest.mark.slow  # eight short runs, each a process of its own
def test_end_to_end(logs, tmp_path):
    """Killed in its middle, with its run going on; then finished; then repeated, which does nothing."""
    command = words(logs, tmp_path, "--seeds", "0,1", "--jobs", 2)
    first = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + scaled(200)
    while not lines(tmp_path) and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)  # the benchmark alone, not the run that it has under way
    first.wait()
    early = lines(tmp_path)
    assert early and all(line["phase"] == "tune" and line["test"] is None for line in early)
    assert not list(tmp_path.glob("methods/runs/*/eval/*")), "the test split was ranked while tuning"

    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=scaled(280), check=False)
    assert done.returncode == 0, done.stderr
    found = lines(tmp_path)
    assert found[: len(early)] == early
    phases = [line["phase"] for line in found]
    assert phases.count("tune") == 3 and phases.count("final") == 2 and phases.count("summary") == 1
    tuned = [line for line in found if line["phase"] == "tune"]
    best = max(tuned, key=lambda line: line["validation"]["all"]["ndcg@10"])["setting"]
    for line in found:
        if line["phase"] == "final":
            assert line["setting"] == best and set(line["test"]) >= {"all", "head", "tail", "stratum=0"}
    again = next(line for line in found if line["phase"] == "final" and line["seed"] == 0)
    before = next(line for line in tuned if line["setting"] == best)
    assert (again["validation"], again["seconds"]) == (before["validation"], before["seconds"]), "the tuned run was trained again"
    page = tmp_path / "results" / "methods.md"
    assert f"**{best}**" in page.read_text() and "| *popularity* |" in page.read_text()

    page.unlink()
    subprocess.run(command, env=environment(), capture_output=True, timeout=scaled(100), check=True)
    assert lines(tmp_path) == found and page.exists()
