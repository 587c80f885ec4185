"""The whole way from Python: prepare, train, evaluate, predict, report, gate; typed, silent, and as the command line does it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pyarrow as pa
import pytest
import torch

import ltrec
from ltrec.cli.main import main
from tests.support.tiny_run import lines_of, tiny_data, tiny_words

SETTINGS = {
    "stream": {"batch_rows": 24, "lanes": 24, "max_len": 6, "window": "random"},
    "model": {"width": 8, "heads": 1, "dropout": 0.3},
    "objective.negatives": 8,
    "trainer": {"max_epochs": 2, "log_every_steps": 3, "checkpoint_every_steps": 1, "accelerator": "cpu", "threads": 1},
    "optim": {"schedule": "cosine", "warmup_steps": 2},
}


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    tiny_data(folder / "data")
    return folder


@pytest.fixture(scope="module")
def run(work) -> ltrec.Run:
    return ltrec.train(SETTINGS, data=work / "data", out=work, name="r")


def process():
    """What a call must leave alone."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    return dict(os.environ), handlers, torch.get_num_threads(), torch.get_rng_state().tolist(), Path.cwd()


def test_training_is_that_of_the_command_line(work, run, capfd):
    assert main(["train", *tiny_words(work / "data", work / "command", "trainer.max_epochs=2"), "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    mine = run.to_dict()
    assert {**told, "run": "", "checkpoint": ""} == {**mine, "run": "", "checkpoint": ""} and mine["run"] == str(work / "r")
    assert lines_of(run.path) == lines_of(work / "command/r")
    assert json.loads(json.dumps(mine, allow_nan=False)) == mine


def test_a_call_is_silent_and_leaves_the_process_alone(work, capfd):
    before, more = process(), {"trainer.threads": 2, "optim.schedule": "constant"}
    run = ltrec.train(SETTINGS, more, data=work / "data", out=work, name="silent", trainer={"max_epochs": 1})
    run.evaluate(bootstrap_samples=10)
    run.predict(k=2)
    assert capfd.readouterr() == ("", "")
    assert process() == before
    again = ltrec.train(SETTINGS, more, data=work / "data", out=work, name="silent", progress=True)
    assert "epoch" in capfd.readouterr().out and again.to_dict()["step"] == 8, "it went on"


def test_a_run_is_a_handle_whoever_trained_it(work, run):
    found = ltrec.load_run(run)
    assert found == run and found.name == "r" and found.config.model.width == 8
    assert found.best == work / "r/checkpoints/best.ckpt" and os.fspath(found) == str(work / "r")
    assert [line["epoch"] for line in found.metrics() if "val/ndcg@10" in line] == [1, 2]
    assert ltrec.load_config(SETTINGS, data=work / "data", out=work, name="r") == run.config


def test_evaluation_is_typed_and_is_what_the_command_answers(work, run, capfd):
    found = run.evaluate(compare=run, bootstrap_samples=100)
    assert main(["evaluate", str(run.path), "--compare", str(run.path), "--json", "evaluation.bootstrap_samples=100"]) == 0
    assert json.loads(capfd.readouterr().out) == json.loads(json.dumps(found.to_dict(), allow_nan=False))
    [one] = found.runs
    assert one.summary.groups["all"].users == 90 and one.ranks().equals(run.ranks()) and found.gate.verdict == "inconclusive"
    assert run.ranks(baseline="popularity").num_rows == 90


def test_a_gate_that_refuses_leaves_the_comparison(run):
    found = run.evaluate(compare=[run], bootstrap_samples=10, head_from=1000)
    assert found.gate is None and "0 head users cannot be judged" in found.refusal
    assert found.comparison.groups["all"].users == 90 and found.to_dict()["gate"] is None


def test_predictions_are_an_arrow_table(work, run):
    found = run.predict(k=3, out=work / "p.parquet", filter_seen=False)
    assert found.to_dict() == {"predictions": f"{work}/p.parquet", "rows": 270, "k": 3, "checkpoint": str(run.best)}
    assert pa.table(found).equals(found.table()) and found.table().column_names == ["user_id", "rank", "item_id", "score"]


def test_the_report_is_a_file(work, run):
    run.evaluate(bootstrap_samples=10)
    found = ltrec.report(run, out=work / "page", bootstrap_samples=10)
    assert found.path == work / "page/index.html" and Path(found).exists() and found.to_dict() == {"report": str(found.path)}


def test_ranks_of_runs_go_through_the_gate(run):
    run.evaluate(bootstrap_samples=10)
    found = ltrec.gate([run.ranks(baseline="popularity")] * 3, [run.ranks()] * 3, bootstrap_samples=100)
    assert found.seeds == 3 and found.tail.users + found.head.users == 90


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda work: ltrec.train(SETTINGS, out=work), r"data.path is not set"),
        (lambda work: ltrec.train("conf/none.yaml"), r"no config file 'conf/none.yaml'"),
        (lambda work: ltrec.train({"trainer.max_epoch": 1}), r"unknown key 'trainer.max_epoch' in the call \(did you mean"),
        (lambda work: ltrec.load_run(work / "none"), r"is not a run folder"),
        (lambda work: ltrec.load_run(work / "r").checkpoint("worst"), r"it must be best, last or previous"),
        (lambda work: ltrec.load_run(work / "r").ranks("valid"), r"not found; create it with 'ltrec evaluate'"),
        (lambda work: ltrec.evaluate(work / "r", split="train"), r"it must be test or valid"),
        (lambda work: ltrec.evaluate(work / "r", batch=3), r"unknown key 'evaluation.batch'"),
        (lambda work: ltrec.evaluate(), r"which run\?"),
        (lambda work: ltrec.predict(work / "r", k=0), r"k is 0"),
        (lambda work: ltrec.report(work / "none"), r"none"),
    ],
)
def test_mistakes_of_a_call_are_one_line(work, run, call, line):
    before = process()
    with pytest.raises(ltrec.UserError, match=line) as caught:
        call(work)
    assert "\n" not in str(caught.value) and process() == before


def test_an_interrupted_call_says_where_it_goes_on(work, monkeypatch):
    """As a notebook's stop button does it: the signal of Ctrl-C, in the middle of training."""
    run = work / "stopped"
    before = process()
    monkeypatch.setattr(
        "ltrec.run.train.ProgressPrinter.on_train_batch_end", lambda *_: os.kill(os.getpid(), signal.SIGINT), raising=False
    )
    with pytest.raises(ltrec.Stopped, match=r"stopped at step \d+, as asked, saved in"):
        ltrec.train(SETTINGS, data=work / "data", out=work, name="stopped")
    assert (run / "checkpoints/last.ckpt").exists() and process() == before
