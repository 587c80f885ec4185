"""ltrec doctor under torchrun: the all-reduce is measured, rank 0 prints, and the W&B key is never shown."""

import re

import pytest

from tests.support.commands import KEY, ltrec


@pytest.mark.slow
def test_two_processes_are_measured_and_no_key_is_shown(tmp_path):
    elsewhere = {"HOME": str(tmp_path), "WANDB_API_KEY": KEY, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    done = ltrec("doctor", "--out", str(tmp_path), processes=2, check=False, COLUMNS="200", **elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    [ring] = [line for line in lines if "all-reduce" in line]
    assert re.search(r"[\d.]+ GB/s over gloo, 2 processes", ring)
    assert len([line for line in lines if "disk" in line]) == 1, "one machine is checked once"
    assert "an API key is present" in done.stdout
    assert KEY not in done.stdout + done.stderr
    assert lines[-1].startswith("ready")
