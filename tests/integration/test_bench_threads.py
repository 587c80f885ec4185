"""benchmarks/threads.py at smoke size: every way of waiting has its figures, alone and beside a busy process. None is looked at."""

import json
import subprocess
import sys

import pytest

from tests.support.commands import ROOT, environment
from tests.support.timeouts import scaled

pytestmark = pytest.mark.slow

SMALL = ["stream.batch_rows=48", "stream.max_len=10", "model.width=8"]


def test_it_measures():
    words = [sys.executable, ROOT / "benchmarks" / "threads.py", "--cores", "0", "--rounds", "1", "--steps", "1", "--set", *SMALL]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=scaled(240), env=environment(), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for half in ("alone", "busy"):
        assert set(found[half]) == {"default", "ltrec", "passive"}
        assert all(figures["ms"] > 0 for figures in found[half].values()) and found[half]["default"]["ratio"] == 1
