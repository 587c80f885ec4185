"""benchmarks/index.py, predict.py and serve.py at smoke size: they have their figures. No time is looked at."""

import json
import subprocess
import sys

import pytest

from tests.support.commands import ROOT, environment
from tests.support.timeouts import scaled

pytestmark = pytest.mark.slow


def run(name, *words):
    """The last line of a benchmark."""
    command = [sys.executable, str(ROOT / "benchmarks" / name), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=scaled(240), env=environment(), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_an_index_is_measured_by_stratum_and_its_graph_is_kept(tmp_path):
    words = ("--items", 4000, "--width", 16, "--batch", 16, "--batches", 1, "--keep", tmp_path)
    found = run("index.py", *words)
    users = {f"stratum={z}" for z in range(5)}
    assert users <= {*found["recall"]} and min(found["recall"].values()) >= 0.95 and found["users"] == 80
    assert found["build_seconds"] > 0 and found["bytes"] > 4000 * 16 * 2 and found["speed_up"] > 0 and found["cpu_speed_up"] > 0
    again = run("index.py", *words)
    assert again["recall"] == found["recall"] and "build_seconds" not in again


def test_predictions_are_measured():
    found = run("predict.py", "--users", 300, "--items", 200, "--chunk", 64)
    assert found["users"] == 300 and found["peak_mib"] > 50 and found["peak_mib_of_a_tenth"] > 50
    assert 0 < found["share"] < 1 and "share_without_start" in found and found["floor_cpu_seconds"] >= 0


def test_an_exported_model_and_its_server_are_measured():
    pytest.importorskip("onnxruntime")
    found = run("serve.py", "--items", 400, "--width", 16, "--rounds", 1, "--seconds", 0.5)
    shares = {name: found[name] for name in found if "share" in name}
    assert {"recommender_share", "recommender_share_of_needed", "onnx_share", "onnx_share_of_its_own"} <= {*shares}
    assert all(0 < share < 2 for share in shares.values()) and found["recommender_share_of_needed"] <= found["recommender_share"]
    assert found["single_requests_s"] > 0 and found["p99_over_p50"] >= 1
