"""benchmarks/columns.py, stream.py, prepare_columns.py, columns_help.py at smoke size: figures are there. No time is looked at."""

import json
import subprocess
import sys

import pytest

from tests.support.commands import ROOT, environment
from tests.support.timeouts import scaled

pytestmark = pytest.mark.slow


def run(name, *words):
    """The last line of a benchmark, a file or a module."""
    place = [str(ROOT / "benchmarks" / name)] if name.endswith(".py") else ["-m", name]
    command = [sys.executable, *place, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=scaled(240), env=environment(), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_loader_is_measured():
    found = run("columns.py", "--users", 1500, "--rounds", 1)
    assert found["columns"] == ["event_type", "price", "dwell", "time"]
    assert all(found[name]["ratio"] > 0 and found[name]["cpu_ratio"] > 0 for name in ("resident", "lanes"))


def test_the_stream_from_a_store_is_measured():
    words = ["--events", 10_000, 40_000, "--block-rows", 64, "--least-events", 80_000, "--remote-events", 10_000]
    found = run("benchmarks.stream", *words)
    assert found["flat"].keys() == found["cells"].keys() == {"local", "cached", "remote"}
    assert found["cells"]["local"].keys() == found["cells"]["cached"].keys() == {"10000", "40000"}
    assert found["cells"]["remote"].keys() == {"10000"}
    for mode in found["cells"].values():
        for size, cell in mode.items():
            assert cell["events"] == pytest.approx(int(size), rel=0.1)
            assert all(cell[name] > 0 for name in ("ns", "first_ns", "times", "peak_mib", "open_ms"))


def test_memory_of_prepare_is_measured(tmp_path):
    found = run("prepare_columns.py", "--events", 200_000, "--items", 20_000, "--width", 64, "--folder", tmp_path)
    assert (found["allowed_mib"], found["within"]) == (1681, True) and found["peak_mib"] > 50
    assert not list(tmp_path.iterdir())


def test_what_columns_give_is_measured():
    found = run("columns_help.py", "--seeds", 0, "--users", 300, "--items", 60, "--epochs", 1)
    assert all(low <= mean <= high for name in ("columns", "id-dropout", "noise") for mean, low, high in [found[name]["all"]])
    assert found["ids"]["new"]["users"] == found["noise"]["new"]["users"] > 0
