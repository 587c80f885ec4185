"""`ltrec evaluate` says which checkpoint it ranked, never takes another in silence, and says what was not trained out; so do gate
and report."""

import json
import re

import pytest

import ltrec.run.train as training
from ltrec.cli.main import main
from ltrec.evaluation.table import EvalTable
from ltrec.reporting.html import write_report
from tests.support.killed_run import train_killed
from tests.support.scripted import script_validation
from tests.support.tiny_run import tiny_config

CONSTANT = "optim.schedule=constant"


def scripted(data, out, values, *words):
    """A run whose validations give these values."""
    with pytest.MonkeyPatch.context() as patch:
        script_validation(patch, values)
        return training.train(tiny_config(data, out, CONSTANT, *words)).path


def shown(capsys, *words):
    capsys.readouterr()
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def page_of(*runs):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", write_report(list(runs)).read_text()))


def test_the_best_checkpoint_is_named_on_screen_in_table_json_and_report(data, tmp_path, capsys):
    run = scripted(data, tmp_path, [0.1, 0.3, 0.2], "trainer.max_epochs=3")
    line = "best.ckpt, epoch 2, step 8, val/ndcg@10 0.3000 in validation; trained to epoch 3, its end"
    out = shown(capsys, "evaluate", run)
    assert f"ranked: {line}" in out and "Note: " not in out
    source = EvalTable.read(run / "eval" / "test.parquet").source
    body = json.loads((run / "eval" / "test.json").read_text())
    assert source["checkpoint"] == body["sasrec"]["checkpoint"] == "best"
    assert source["training"] == body["sasrec"]["training"]
    assert (source["training"]["step"], source["training"]["epochs"], source["training"]["value"]) == (8, 2.0, 0.3)
    assert "training" not in body["popularity"]
    assert line in page_of(run)
    assert "ranked: last.ckpt, epoch 3, step 12, val/ndcg@10 0.2000" in shown(capsys, "evaluate", run, "--checkpoint", "last")
    assert "ranked: previous.ckpt, epoch 2.75, step 11, not validated there" in shown(
        capsys, "evaluate", run, "--checkpoint", "previous"
    )


def test_without_a_best_the_last_is_ranked_with_a_note(data, tmp_path, capsys):
    run = scripted(data, tmp_path, [], "trainer.max_epochs=2", "trainer.validate_every_epochs=3")
    line = "last.ckpt (the run has no best.ckpt), epoch 2, step 8, not validated there"
    assert f"ranked: {line}" in shown(capsys, "evaluate", run)
    assert line in page_of(run)


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_damaged_checkpoint_is_never_replaced_by_another(data, tmp_path, capsys, name):
    run = scripted(data, tmp_path, [0.1, 0.3, 0.2], "trainer.max_epochs=3")
    path = run / "checkpoints" / f"{name}.ckpt"
    path.write_bytes(path.read_bytes()[:-100])
    assert main(["evaluate", str(run), "--checkpoint", name]) == 2
    assert f"{name}.ckpt is damaged" in capsys.readouterr().err
    assert not (run / "eval").exists()


def test_a_best_that_is_the_last_has_not_converged_and_a_longer_run_is_ranked_again(data, tmp_path, capsys):
    """The ranks stay, for the checkpoint is the same; what is said of it does not."""
    words = ("trainer.max_epochs=2",)
    run = scripted(data, tmp_path, [0.1, 0.3], *words)
    note = "not converged: the best epoch, 2, is the last one that was validated; train longer (trainer.max_epochs)"
    assert f"Note: r: {note}" in shown(capsys, "evaluate", run)
    assert f"r: {note}." in page_of(run)  # a run keeps its name, letter for letter
    before = EvalTable.read(run / "eval" / "test.parquet")
    scripted(data, tmp_path, [0.2, 0.1], "trainer.max_epochs=4")
    out = shown(capsys, "evaluate", run)
    assert "Note: " not in out and "trained to epoch 4, its end" in out
    after = EvalTable.read(run / "eval" / "test.parquet")
    assert after.rows.equals(before.rows) and after.source["checkpoint_sha256"] == before.source["checkpoint_sha256"]


def test_patience_ends_a_run_and_a_killed_run_has_not_ended(data, tmp_path, capsys):
    patient = scripted(data, tmp_path / "patient", [0.3, 0.2, 0.1], "trainer.max_epochs=9", "trainer.patience=2")
    out = shown(capsys, "evaluate", patient)
    assert "trained to epoch 3, where patience ended it" in out and "Note: " not in out
    train_killed(tiny_config(data, tmp_path / "killed", CONSTANT), 6)
    out = shown(capsys, "evaluate", tmp_path / "killed" / "r")
    assert "Note: r: training has not ended (epoch 1.5, step 6 of 12)" in out


def test_gate_and_report_name_unequal_budgets(data, tmp_path, capsys):
    base = scripted(data, tmp_path, [0.3, 0.2], "name=base", "trainer.max_epochs=2")
    other = scripted(data, tmp_path, [0.3, 0.2, 0.1], "name=other", "trainer.max_epochs=3", "optim.lr=0.002")
    line = "unequal budgets of training, other against base: trainer.max_epochs 3 against 2, steps 12 against 8"
    out = shown(capsys, "evaluate", other, "--compare", base)
    assert f"Note: {line}" in out
    gate = json.loads((other / "eval" / "test-against-base.json").read_text())["gate"]
    assert gate["datasets"][0]["notes"] == [line]
    assert f"{line[0].upper()}{line[1:]}." in page_of(other, base)
    assert "unequal" not in shown(capsys, "evaluate", other, "--compare", other)
