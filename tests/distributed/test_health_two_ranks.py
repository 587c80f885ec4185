"""Two processes: what strata's collectives cost is told, and rates count everybody's rows."""

import json

import pytest

from tests.support.commands import ltrec
from tests.support.tiny_run import tiny_data, tiny_words, trained_by


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["joint", "stratified"])
def test_communication_and_rates_of_two_processes(tmp_path, strategy):
    words = tiny_words(tiny_data(tmp_path / "data"), tmp_path, *trained_by(strategy), "trainer.stall_seconds=60")
    ltrec("train", *words, processes=2)
    lines = [json.loads(line) for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "health/step_ms" in line]
    assert len(lines) == 4
    for line in lines:
        assert line["throughput/sequences_per_s"] * line["health/step_ms"] / 1000 == pytest.approx(24)
        assert ("health/communication_ms" in line) == (strategy == "stratified")
        assert 0 <= line.get("health/communication_ms", 0) < line["health/step_ms"]
    assert not (tmp_path / "r" / "stalls").exists()
