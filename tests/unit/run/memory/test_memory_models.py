"""A memory beside every kind of network, from training to recommendations, and where there is little to choose by."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

import ltrec.run.train as training
from ltrec.cli.main import main
from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.table import EvalTable
from ltrec.run.evaluate import evaluate_run
from ltrec.run.process.detect import detect
from tests.support.shards import User, leave_one_out, random_users, write_dataset
from tests.support.tiny_run import tiny_config, tiny_words

MEMORY = ["plugin.name=memory", "trainer.max_epochs=2", "evaluation.bootstrap_samples=50", "plugin.weights=[0,0.5,0.9]"]
MODELS = {
    "sasrec": [],
    "gru4rec": ["model.name=gru4rec"],
    "din": ["model.name=din", "objective.name=bce"],
    "sasrec on an average": ["trainer.ema=0.5", "plugin.form=log"],
    "sasrec and plugins": [
        "gradients.name=stratified",
        "plugin.trained.name=bottleneck",
        "plugin.trained.shrink=4",
        "plugin.trained.switch.at=1",
    ],
}


def words_of(name, data, out):
    """The words of a model; one that has no heads is told of none."""
    words = tiny_words(data, out, *MEMORY, *MODELS[name])
    return words if name.startswith("sasrec") else [word for word in words if not word.startswith("model.heads=")]


def choices(run):
    return json.loads((run.memory / "choices.json").read_text())["choices"]


@pytest.mark.parametrize("name", MODELS)
def test_from_training_to_recommendations(data, tmp_path, name, capsys):
    mine = MODELS[name]
    capsys.readouterr()
    assert main(["train", *words_of(name, data, tmp_path), "--json"]) == 0
    told, run = json.loads(capsys.readouterr().out), RunFolder(tmp_path / "r")
    [entry] = choices(run)
    assert told["memory"]["choice"] == entry["choice"]
    assert entry["choice"]["all"]["users"] == 90
    assert entry["made_for"].get("weights") == ("average" if "trainer.ema=0.5" in mine else None)
    assert main(["evaluate", str(run.path)]) == 0
    model = next(word for word in ("gru4rec", "din", "sasrec") if word in name)
    table = EvalTable.read(run.eval / "test.parquet")
    assert table.source["scorer"] == model and table.source["memory"]["choice"] == entry["choice"]
    assert main(["predict", str(run.path), "-k", "3"]) == 0
    rows = pq.read_table(run.path / "predictions" / "top-k.parquet")
    assert rows.num_rows == 3 * 90 and np.isfinite(rows["score"].to_numpy()).all()
    if "trainer.ema=0.5" in mine:
        assert main(["evaluate", str(run.path), "--weights", "raw"]) == 0
        assert [made["made_for"]["weights"] for made in choices(run)] == ["average", "raw"]


def test_without_validation_targets_the_weight_is_the_default_and_that_is_said(tmp_path, capsys):
    users = [User(u.name, u.items, u.stratum, len(u.items) - 1, -1, len(u.items) - 1) for u in random_users([60, 30])]
    write_dataset(tmp_path / "data", users)
    run = training.train(tiny_config(tmp_path / "data", tmp_path, *MEMORY))
    said = "memory beside last.ckpt: mix with weight 0.5, by default: no user has a validation target to choose by"
    assert said in capsys.readouterr().out, "of the weights that are named the one nearest to the default"
    [entry] = choices(run)
    assert entry["choice"] == {"grid": [0.0, 0.5, 0.9], "all": {"users": 0, "ndcg": [], "weight": 0.5}, "strata": []}
    assert EvalTable.read(evaluate_run(run, "test", "best", detect())["sasrec"]).num_users == 90


def test_users_of_two_events_or_of_everything(tmp_path):
    """Histories of one item, and one that has seen the whole catalogue."""
    users = [leave_one_out(n, [1 + n % 5, 1 + (n + 1) % 5], 0) for n in range(60)]
    users += [leave_one_out(60, [1, 2, 3, 4, 5, 1, 2, 3], 0)]
    write_dataset(tmp_path / "data", users, num_items=5)
    run = training.train(tiny_config(tmp_path / "data", tmp_path, *MEMORY))
    [entry] = choices(run)
    assert entry["choice"]["all"]["users"] == 1
    assert main(["predict", str(run.path)]) == 0
    names = pq.read_table(run.path / "predictions" / "top-k.parquet")["user_id"].to_pylist()
    assert "u60" not in names and len(set(names)) == 60


def test_sampled_candidates_are_ranked_with_the_same_choice(data, tmp_path):
    run = training.train(tiny_config(data, tmp_path, *MEMORY, "trainer.max_epochs=1"))
    before = choices(run)
    assert main(["evaluate", str(run.path), "evaluation.candidates=sampled", "evaluation.sampled_negatives=5"]) == 0
    assert choices(run) == before
