"""benchmarks/gpu.py, rehearsed on the CPU where DeepSpeed, TorchJD and DuckDB are missing, as a bare CUDA image may lack them."""

import json
import subprocess
import sys

import pytest

from tests.support.commands import ROOT, environment
from tests.support.timeouts import scaled

WAYS = ["joint", "per_stratum, segments"]
BARE = """
import sys
sys.modules.update(dict.fromkeys(["deepspeed", "torchjd", "duckdb"]))  # None: importing them fails
sys.path.insert(0, "benchmarks")
import runpy
runpy.run_path("benchmarks/gpu.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def printed():
    words = ["--device", "cpu", "--sizes", "tiny", "--precisions", "32-true", "--steps", "1", "--ways", *WAYS]
    done = subprocess.run(
        [sys.executable, "-c", BARE, *words],
        capture_output=True,
        text=True,
        timeout=scaled(120),
        env=environment(),
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_everything_is_right_and_counted(printed):
    figures = json.loads(printed[-1])
    assert figures["benchmark"] == "gpu"
    assert figures["wrong"] == []
    assert [check["what"] for check in figures["checks"]] == [f"{way} in {kind}" for way in WAYS for kind in ("float64", "float32")]
    joint, segments = figures["cells"]
    assert (joint["waits"], segments["waits"]) == (0, 1)
    assert "engine.py" in segments["wait_lines"][0]
    assert joint["launches"] < segments["launches"] < 2 * joint["launches"]
    assert joint["gflop"] > 0
    assert joint["step_ms"] > 0


def test_what_is_skipped_is_said(printed):
    assert [line.split(":")[1] for line in printed if line.startswith("skipped: ")] == [
        " no deepspeed",
        " no torchjd",
        " no duckdb",
    ]
    assert "a rehearsal" in printed[0]
