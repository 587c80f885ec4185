"""--profile N records N steps after the first few, into one file that a browser can open."""

import gzip
import json

from ltrec.run.train import train
from ltrec.training.callbacks.profile import WARM_UP
from tests.support.tiny_run import lines_of, tiny_config, tiny_data


def optimizer_steps(run):
    with gzip.open(run.path / "profile" / "trace.json.gz") as file:
        events = json.load(file)["traceEvents"]
    return [event for event in events if event.get("name", "").startswith("Optimizer.step#") and event.get("ph") == "X"]


def test_so_many_steps_are_recorded_and_nothing_else_changes(tmp_path, capsys):
    data = tiny_data(tmp_path / "data")
    run = train(tiny_config(data, tmp_path, "trainer.accumulate=2"), profile=3)
    assert len(optimizer_steps(run)) == 3
    assert "profile of 3 step(s)" in capsys.readouterr().err
    plain = train(tiny_config(data, tmp_path, "trainer.accumulate=2", "name=plain"))
    assert lines_of(plain.path) == lines_of(run.path)
    assert not (plain.path / "profile").exists()


def test_a_short_run_gives_what_there_is(tmp_path, capsys):
    data = tiny_data(tmp_path / "data")
    run = train(tiny_config(data, tmp_path, "trainer.max_epochs=2"), profile=100)
    assert len(optimizer_steps(run)) == 8 - WARM_UP
    run = train(tiny_config(data, tmp_path, "trainer.max_epochs=1", "name=shorter"), profile=1)
    assert "there is no trace" in capsys.readouterr().err
    assert not (run.path / "profile").exists()
