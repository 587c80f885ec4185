"""benchmarks/method_cost.py at smoke size: every file of conf/method is timed, a slow one over fewer steps."""

import json
import subprocess
import sys

import pytest

from benchmarks.harness.conf_methods import FILES
from ltrec.data.fetch import SyntheticConfig, fetch_synthetic
from tests.support.commands import ROOT, environment
from tests.support.timeouts import scaled

pytestmark = pytest.mark.slow  # dozens of methods, a few steps each

SCRIPT = ROOT / "benchmarks" / "method_cost.py"
SMALL = ["stream.batch_rows=48", "stream.max_len=12", "model.width=16"]


def test_every_method_has_a_ratio(tmp_path):
    events = fetch_synthetic(SyntheticConfig(users=400, items=120, events_per_user=12.0), tmp_path / "log")
    words = ["--events", events, "--steps", 2, "--slow-steps", 1, "--rounds", 1, "--out", tmp_path / "cost.json", "--set", *SMALL]
    command = [str(word) for word in [sys.executable, SCRIPT, *words]]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=scaled(240), env=environment(), check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result == json.loads((tmp_path / "cost.json").read_text())
    assert result["refused"] == {}
    timed = {name.partition(",")[0] for name in result["methods"]}
    assert timed == {*FILES}
    joint = result["methods"]["joint"]
    assert (joint["time_ratio"], joint["processor_ratio"], joint["steps"]) == (1.0, 1.0, 2)
    assert result["busy"] == max(row["busy"] for row in result["methods"].values())
    assert all(row["time_ratio"] > 0 and row["processor_ratio"] > 0 for row in result["methods"].values())
    assert all(f"{method}, stage 2" in result["methods"] for method in timed if f"{method}, stage 1" in result["methods"])
