"""benchmarks/stratified_step.py at smoke size: it runs, and every target that is not a time is met."""

import json
import subprocess
import sys

import pytest

from ltrec.data.fetch import SyntheticConfig, fetch_synthetic
from tests.support.commands import ROOT, environment
from tests.support.timeouts import scaled

pytestmark = pytest.mark.slow  # half a minute on a busy machine

SCRIPT = ROOT / "benchmarks" / "stratified_step.py"
MODES = ("joint", "weighted", "weighted+probe", "per_stratum", "per_stratum+probe", "per_stratum/upgrad", "replay/upgrad")
SMALL = ["stream.batch_rows=48", "stream.max_len=20", "model.width=32"]


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    events = fetch_synthetic(SyntheticConfig(users=200, items=150, events_per_user=12.0), tmp_path_factory.mktemp("log"))
    words = ["--events", events, "--strata", 3, "--items", 400, "--steps", 2, "--rounds", 1, "--set", *SMALL]
    command = [sys.executable, SCRIPT, *words]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=scaled(240), env=environment(), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_targets_that_are_counted_are_met(printed):
    figures = json.loads(printed[-1])
    assert figures["benchmark"] == "stratified_step" and figures["processes"] == 2
    assert [miss for miss in figures["not_met"] if ": time, " not in miss] == []
    assert [cell["padded"] for cell in figures["cells"]] == [False, True]
    for cell in figures["cells"]:
        modes, strata = cell["modes"], cell["strata"]
        assert set(modes) == set(MODES)
        assert modes["per_stratum"]["flops"] < modes["per_stratum+probe"]["flops"] <= modes["per_stratum/upgrad"]["flops"]
        assert modes["joint"]["bytes"] == modes["joint"]["gradient"], "a ring of two sends as many bytes as there are"
        assert modes["weighted"]["flops"] == modes["joint"]["flops"], "the counter sees both ways of training"
        assert 0 < modes["per_stratum"]["bytes"] - (strata + 1) / 2 * modes["joint"]["bytes"] < 16 * strata**2 + 8 * (strata + 1)
        assert all(mode["step_s"] > 0 and mode["time_ratio"] > 0 and mode["processor_ratio"] > 0 for mode in modes.values())


def test_people_are_told_too(printed):
    words = [line.split()[:2] for line in printed]
    assert words.count(["met", "K=3,"]) + words.count(["not", "met"]) + words.count(["met", "(reported)"]) == 14
    assert sum(line.startswith("K = 3, ") for line in printed) == 2
