"""benchmarks/papers.py from a log to its page, on a tiny log: both claims, every column, nothing done twice."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from ltrec.data.fetch import SyntheticConfig, fetch_synthetic
from ltrec.evaluation.metrics import per_user
from ltrec.evaluation.table import HISTORY_LENGTH, NUM_CANDIDATES, RANK, EvalTable
from tests.support.commands import ROOT, environment
from tests.support.timeouts import scaled

SCRIPT = ROOT / "benchmarks" / "papers.py"
SMALL = ["trainer.max_epochs=1", "trainer.validate_every_epochs=1", "stream.max_len=12", "model.width=8"]


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    events = fetch_synthetic(SyntheticConfig(users=260, items=120, events_per_user=20.0), folder / "made")
    for name in ("music", "retailrocket", "ml-1m"):
        (folder / name).mkdir()
        shutil.copy(events, folder / name / "events.parquet")
    return folder


def run(logs, out, *more):
    words = ["--logs", logs, "--out", out / "out", "--results", out / "results", "--seeds", "1", *more, "--set", *SMALL]
    command = [str(word) for word in (sys.executable, SCRIPT, *words)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=scaled(900), check=False)
    assert done.returncode == 0, done.stderr
    found = {path.name: path.read_text() for path in (out / "results").glob("*.jsonl")}
    return {name: [json.loads(line) for line in text.splitlines()] for name, text in found.items()}


def summary(lines, method):
    return next(line for line in reversed(lines) if line["phase"] == "summary" and line["method"] == method)


def table_of(out, paper, line):
    return EvalTable.read(out / "out" / paper / "runs" / line["runs"][0] / "eval" / "test.parquet")


@pytest.mark.slow  # five short runs, each a process of its own
def test_groups_of_length_with_items_of_the_history_kept(logs, tmp_path):
    lines = run(logs, tmp_path, "--claims", "fairness", "--methods", "per-user-mean,joint,cvar-dro", "--tries", "1")
    theirs, ours = (lines[f"papers-fairness-{side}-retailrocket.jsonl"] for side in ("user", "target"))
    found = summary(theirs, "cvar-dro")
    table = table_of(tmp_path, "fairness", found)
    assert not table.protocol.filter_seen and table.protocol.candidates == "full"
    values = per_user(table.column(RANK), table.column(NUM_CANDIDATES), [20])["ndcg@20"]
    activity = table.column("activity")
    for z, (low, high) in enumerate(((1, 13), (13, 57))):
        users = (activity >= low) & (activity < high)
        assert users.any()
        mean = found["groups"][f"stratum={z}"]["ndcg@20"]["mean"][0]
        assert mean == pytest.approx(values[users].mean(), abs=1e-5)
    assert {line["method"] for line in theirs if line["phase"] == "final"} == {"per-user-mean", "joint", "cvar-dro"}
    assert {line["method"] for line in ours if line["phase"] == "final"} == {"joint", "cvar-dro"}
    assert {line["setting"] for line in theirs if line["phase"] == "tune"} == {"as-is", "worst-half"}
    joint = [next(line for line in side if line["phase"] == "final" and line["method"] == "joint") for side in (theirs, ours)]
    assert joint[0]["key"] == joint[1]["key"] and joint[0]["run"] == joint[1]["run"], "one run serves both sides"
    assert "### retailrocket" in (tmp_path / "results" / "papers.md").read_text()


@pytest.mark.slow  # four short runs, each a process of its own
def test_existing_and_new_users_and_nothing_twice(logs, tmp_path):
    words = ("--claims", "ltp-gru4rec", "--data", "music", "--methods", "joint,ltp", "--tries", "1")
    lines = run(logs, tmp_path, *words)
    assert set(lines) == {f"papers-ltp-gru4rec-{side}-music.jsonl" for side in ("bce", "softmax")}
    found = summary(lines["papers-ltp-gru4rec-bce-music.jsonl"], "ltp")
    table = table_of(tmp_path, "ltp", found)
    hits, new = table.column(RANK) <= 10, table.column("stratum") < 0
    long_N = table.column(HISTORY_LENGTH) - 1 >= table.strata.head_from
    parts = {"existing": ~new, "new": new, "new/tail": new & ~long_N, "new/head": new & long_N}
    parts |= {"tail": ~new & ~long_N, "head": ~new & long_N}
    assert set(parts) <= set(found["groups"])
    for group, mask in parts.items():
        assert found["groups"][group]["users"] == mask.sum() > 1
        assert found["groups"][group]["hr@10"]["mean"][0] == pytest.approx(np.mean(hits[mask]), abs=1e-5)
    page = (tmp_path / "results" / "papers.md").read_text()
    assert "| ltp | existing | 0.0287 (+20.6 %) |" in page and "too few seeds to say" in page
    assert run(logs, tmp_path, *words) == lines


@pytest.mark.slow  # two short runs, each a process of its own
def test_auc_of_one_pool_and_of_each_user(logs, tmp_path):
    words = ("--claims", "pin-din", "--sides", "bce", "--methods", "joint,pin-released")
    lines = run(logs, tmp_path, *words)
    theirs = lines["papers-pin-din-bce-ml-1m.jsonl"]
    found, pooled = summary(theirs, "pin-released"), [line for line in theirs if line["phase"] == "pooled"]
    table = table_of(tmp_path, "pin", found)
    assert table.protocol.candidates.startswith("sampled (99 ") and table.column(NUM_CANDIDATES).max() == 100
    own = per_user(table.column(RANK), table.column(NUM_CANDIDATES), [10])["auc"]
    assert found["groups"]["all"]["auc"]["mean"][0] == pytest.approx(own.mean(), abs=1e-5)
    assert [line["method"] for line in pooled] == ["joint", "pin-released"]
    for line in pooled:
        assert set(line["groups"]) >= {"all", "tail", "head", "stratum=0"} and 0 < line["groups"]["all"] < 1
    page = (tmp_path / "results" / "papers.md").read_text()
    assert f"| joint | all | 0.9077 | {pooled[0]['groups']['all']:.4f} |" in page
    assert run(logs, tmp_path, *words) == lines
