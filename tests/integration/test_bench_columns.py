"""benchmarks/columns.py at smoke size: both ways of reading have their figures. None is looked at."""

import json
import subprocess
import sys

import pytest

from tests.support.commands import ROOT, environment
from tests.support.timeouts import scaled

pytestmark = pytest.mark.slow


def test_it_measures():
    words = [sys.executable, ROOT / "benchmarks" / "columns.py", "--users", "1500", "--rounds", "1"]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=scaled(240), env=environment(), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["columns"] == ["event_type", "price", "dwell", "time"]
    assert all(found[name]["ratio"] > 0 and found[name]["cpu_ratio"] > 0 for name in ("resident", "lanes"))
