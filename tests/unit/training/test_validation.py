"""Validation inside training and `ltrec evaluate --split valid` are the same measurement."""

import shutil

import pytest

from ltrec.config.load import load
from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.baselines import BASELINES
from ltrec.evaluation.summary import summarise
from ltrec.evaluation.table import NUM_CANDIDATES, EvalTable
from ltrec.run.build.components import build_validator, open_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.evaluate import evaluate_run
from ltrec.run.process.detect import detect
from ltrec.run.train import train
from tests.support.shards import leave_one_out, write_dataset
from tests.support.tiny_run import checkpoint, lines_of, tiny_config


@pytest.mark.parametrize("which", ["best", "last"])
@pytest.mark.parametrize(
    "words",
    [[], ["evaluation.filter_seen=false", "evaluation.chunk_rows=7"], ["evaluation.head_from=5"]],
    ids=["filtered", "small chunks", "own head"],
)
def test_metrics_of_a_checkpoint_equal_those_of_training_exactly(data, tmp_path, which, words):
    run = train(tiny_config(data, tmp_path, "trainer.max_epochs=4", "optim.lr=1e-2", *words))
    files = evaluate_run(run, "valid", which, detect())
    table = EvalTable.read(files["sasrec"])
    step = checkpoint(run.path, which)["global_step"]
    [line] = [line for line in lines_of(run.path) if line["step"] == step and "val/ndcg@10" in line]
    trained = {key: value for key, value in line.items() if key.startswith("val/")}
    config = load([run.config], [])
    validator = build_validator(config, open_data(config))
    assert validator.metrics(*map(table.column, ("rank", NUM_CANDIDATES, "stratum", "activity"))) == trained
    groups = summarise(table, config.evaluation).groups
    names = {"": "all", "/head": "head", "/tail": "tail", **{f"/stratum={z}": f"stratum={z}" for z in range(3)}}
    shown = {f"val/{m}{end}": groups[key].metrics[m].mean for end, key in names.items() for m in ("ndcg@10", "hr@10")}
    assert shown == pytest.approx(trained, rel=1e-12), "the same ranks, summed in another order"


def test_without_validation_users_training_still_works(tmp_path, capsys):
    users = [leave_one_out(n, [1 + (n + k) % 9 for k in range(3 + n % 4)], 0) for n in range(48)]
    users = [type(u)(u.name, u.items, u.stratum, u.train_events + 1, -1, u.test_at) for u in users]
    write_dataset(tmp_path / "data", users, num_items=9)
    run = train(tiny_config(tmp_path / "data", tmp_path, "trainer.patience=1"))
    assert "no user has a validation target" in capsys.readouterr().out
    assert not [line for line in lines_of(run.path) if "val/ndcg@10" in line]
    assert find_checkpoint(RunFolder(run.path), "best").name == "last.ckpt"
    assert set(evaluate_run(run, "test", "best", detect())) == {"sasrec", *BASELINES}


@pytest.mark.parametrize("every", [1, 2])
def test_validation_users_are_not_denied_before_an_epoch_without_validation(data, tmp_path, capsys, every):
    run = train(tiny_config(data, tmp_path, "trainer.max_epochs=2", f"trainer.validate_every_epochs={every}"))
    assert "no user has a validation target" not in capsys.readouterr().out
    assert len([line for line in lines_of(run.path) if "val/ndcg@10" in line]) == 2 // every


def test_current_results_are_kept_and_stale_ones_are_not(data, tmp_path):
    run = train(tiny_config(data, tmp_path, "trainer.max_epochs=1", "optim.schedule=constant"))
    done = []
    files = evaluate_run(run, "test", "last", detect(), lambda name, *_: done.append(name))
    assert set(done) == {*files, "counting for transitions", "counting for item-knn"}
    first = {name: path.read_bytes() for name, path in files.items()}
    done.clear()
    evaluate_run(run, "test", "last", detect(), lambda name, *_: done.append(name))
    assert done == []
    train(tiny_config(data, tmp_path, "trainer.max_epochs=2", "optim.schedule=constant"))
    evaluate_run(run, "test", "last", detect(), lambda name, *_: done.append(name))
    assert set(done) == {"sasrec"}, "another checkpoint: its own table only"
    assert files["sasrec"].read_bytes() != first["sasrec"]
    shutil.rmtree(run.eval)
    evaluate_run(run, "test", "last", detect())
    assert files["popularity"].read_bytes() == first["popularity"]


def test_a_run_that_was_evaluated_before_there_were_as_many_baselines_gets_the_missing_ones(data, tmp_path):
    run = train(tiny_config(data, tmp_path, "trainer.max_epochs=1"))
    files, done = evaluate_run(run, "test", "last", detect()), []
    first = {name: path.read_bytes() for name, path in files.items()}
    shutil.rmtree(run.neighbours)
    for name in ("transitions", "item-knn"):
        files[name].unlink()
    evaluate_run(run, "test", "last", detect(), lambda name, *_: done.append(name))
    assert set(done) == {f"{how}{name}" for name in ("transitions", "item-knn") for how in ("", "counting for ")}
    assert {name: path.read_bytes() for name, path in files.items()} == first
    done.clear()
    evaluate_run(run, "valid", "last", detect(), lambda name, *_: done.append(name))
    assert set(done) == set(files), "another split is ranked, and nothing counted again"


def test_a_damaged_table_is_ranked_again_aloud(data, tmp_path, capsys):
    """Who is told to evaluate again must not be refused for the damage when he does."""
    run = train(tiny_config(data, tmp_path, "trainer.max_epochs=1"))
    files = evaluate_run(run, "test", "last", detect())
    whole = {name: path.read_bytes() for name, path in files.items()}
    files["sasrec"].write_bytes(whole["sasrec"][:-20])
    files["popularity"].write_bytes(b"")
    capsys.readouterr()
    evaluate_run(run, "test", "last", detect())
    assert {name: path.read_bytes() for name, path in files.items()} == whole
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and all(line.endswith("): ranking again") and ".parquet is damaged (" in line for line in said)
