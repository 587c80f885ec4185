"""Where the time of a step goes adds up to the step, and what is shown is what was measured."""

import json
import time
from types import SimpleNamespace

import pytest

from ltrec.data.stream.loader import StreamLoader
from ltrec.run.progress.pace import PHASES as SHOWN
from ltrec.run.progress.pace import step_breakdown, step_parts
from ltrec.run.train import train
from ltrec.training import clocks
from ltrec.training.callbacks import health
from ltrec.training.callbacks.health import Health, resident_bytes
from ltrec.training.clocks import HostClock
from tests.support.tiny_run import tiny_config, trained_by

PHASES = ("loader", "compute", "optimizer", "other")


def written(run):
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [line for line in lines if "health/step_ms" in line]


@pytest.mark.parametrize("strategy", ["joint", "stratified"])
def test_the_phases_of_a_step_are_the_step(data, tmp_path, strategy, capsys):
    run = train(tiny_config(data, tmp_path, *trained_by(strategy), "trainer.log_every_steps=2", "trainer.accumulate=2"))
    lines = written(run)
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10, 12]
    for line in lines:
        assert all(line[f"health/{name}_ms"] >= 0 for name in PHASES) and line["health/compute_ms"] > 0
        assert sum(line[f"health/{name}_ms"] for name in PHASES) == pytest.approx(line["health/step_ms"], rel=1e-6)
        assert line["health/loader_share"] == pytest.approx(line["health/loader_ms"] / line["health/step_ms"])
        assert line["throughput/sequences_per_s"] * line["health/step_ms"] / 1000 == pytest.approx(24), "rows of a step"
        assert 0.05 < line["health/rss_gib"] < 64
        assert "health/communication_ms" not in line and "health/device_gib" not in line, "one process, no GPU"
    assert lines[-1]["health/eta_s"] == 0 < lines[0]["health/eta_s"]
    shown = capsys.readouterr().out
    assert shown.count("seq/s") == 3, "one a validation"
    assert shown.count("events/s; a step takes ") == 1, "one at the end"


def test_a_slow_loader_shows_as_waiting(data, tmp_path, monkeypatch):
    build = StreamLoader._build

    def slow(self, steps):
        time.sleep(0.4 * len(steps))
        return build(self, steps)

    monkeypatch.setattr(StreamLoader, "_build", slow)
    run = train(tiny_config(data, tmp_path, "trainer.max_epochs=1", "stream.threads=1", "trainer.log_every_steps=4"))
    assert all(line["health/loader_share"] > 0.3 for line in written(run))


def clocked(monkeypatch, *moments):
    ticks = iter(moments)
    monkeypatch.setattr(clocks.time, "perf_counter", lambda: next(ticks))
    return HostClock()


def test_the_clock_books_by_phase_and_forgets(monkeypatch):
    clock = clocked(monkeypatch, 1.0, 4.0, 4.5)
    begin, formed, end = clock.now(), clock.now(), clock.now()
    clock.book("compute", begin, formed)
    clock.book("optimizer", formed, end)
    clock.book("compute", begin, end)
    assert clock.spent() == {"compute": 6.5, "optimizer": 0.5}
    assert clock.spent() == {"compute": 0.0, "optimizer": 0.0}


def test_the_time_left_ends_with_the_sooner_of_epochs_and_steps():
    def left(max_epochs, max_steps):
        watch = Health()
        watch._first_step, watch._started = 10, health.time.monotonic() - 5.0
        trainer = SimpleNamespace(
            global_step=20, num_training_batches=80, accumulate_grad_batches=2, max_epochs=max_epochs, max_steps=max_steps
        )
        return watch._time_left(trainer)["health/eta_s"]

    assert left(2, -1) == pytest.approx(60 * 0.5, rel=0.05)
    assert left(2, 30) == pytest.approx(10 * 0.5, rel=0.05)
    assert left(2, 15) == 0


def test_memory_is_read_from_the_kernel_or_not_at_all(tmp_path):
    (tmp_path / "statm").write_text("900 25 3 1 0 7 0\n")
    assert resident_bytes(tmp_path / "statm") == 25 * health.os.sysconf("SC_PAGE_SIZE")
    assert resident_bytes(tmp_path / "none") == 0
    assert resident_bytes() > 1 << 20


def test_the_pace_is_shown_once_it_is_known():
    watch = Health()
    trainer = SimpleNamespace(callbacks=[watch])
    for silent in (SimpleNamespace(callbacks=[]), trainer):
        assert step_breakdown(silent) == "" and step_parts(silent) == []
    watch.latest = {"throughput/sequences_per_s": 12345.6, "health/loader_share": 0.034, "health/rss_gib": 1.26}
    watch.latest |= {"throughput/events_per_s": 98765.4, "health/step_ms": 1250.0}
    watch.latest |= {f"health/{name}_ms": spent for name, spent in zip(SHOWN, (25, 1000, 125, 75, 25), strict=True)}
    assert step_breakdown(trainer) == (
        "98,765 events/s; a step takes 1,250.0 ms: loader 2%, compute 80%, communication 10%, optimizer 6%, other 2%"
    )
    shares = ["compute 80%", "communication 10%", "optimizer 6%", "other 2%"]
    assert step_parts(trainer) == ["1,250.0 ms a step", "3% waiting", "1.3 GiB", *shares]
    del watch.latest["health/communication_ms"]
    assert "communication" not in step_breakdown(trainer)
    watch.latest["health/device_gib"] = 70.0
    assert "70.0 GiB" in step_parts(trainer)
