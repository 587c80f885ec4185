"""A run with columns, from its first step to its predictions."""

import pytest
import torch

import ltrec
import ltrec.run.train as training
from ltrec.config.load import load
from ltrec.core.storage.run_folder import RunFolder
from ltrec.data.manifest import Manifest
from ltrec.data.stream.reading.vocabulary import Vocabulary
from ltrec.evaluation.metrics import ndcg_at
from ltrec.evaluation.table import EvalTable
from ltrec.run.evaluate import evaluate_run
from ltrec.run.process.detect import detect
from tests.support.inputs import column_data
from tests.support.tiny_run import checkpoint, column, tiny_words

INPUTS = ["inputs.items=[all]", "inputs.events=[all,time_gap]", "inputs.users=[all]"]
EXACT = ["model.dropout=0", "trainer.max_steps=4", "trainer.log_every_steps=1", "optim.eps=1e-3"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return column_data(tmp_path_factory.mktemp("columns") / "data")


def train(data, out, *words):
    training.train(load([], [*tiny_words(data, out), *INPUTS, *words]))
    return out / "r"


def test_strata_alone_and_one_weighted_pass_are_the_same(data, tmp_path):
    ways = {"weighted": ["gradients.mode=weighted"], "per_stratum": ["gradients.mode=per_stratum", "trainer.accumulate=2"]}
    runs = [train(data, tmp_path / way, *EXACT, "gradients.name=stratified", *words) for way, words in ways.items()]
    assert column(runs[0], "train/loss") == pytest.approx(column(runs[1], "train/loss"), rel=1e-5)
    for key, value in checkpoint(runs[0])["state_dict"].items():
        torch.testing.assert_close(checkpoint(runs[1])["state_dict"][key], value, rtol=1e-3, atol=1e-6, msg=key)


def test_columns_are_felt_and_a_run_goes_on_where_it_stopped(data, tmp_path):
    words = ["model.time_bias=true", "optim.schedule=constant", "trainer.max_epochs=2"]
    whole = train(data, tmp_path / "whole", *words)
    train(data, tmp_path / "parts", *words, "trainer.max_epochs=1")
    parts = train(data, tmp_path / "parts", *words)
    ids = tmp_path / "ids"
    training.train(load([], [*tiny_words(data, ids), "optim.schedule=constant", "trainer.max_epochs=2"]))
    assert column(whole, "train/loss")[-1] != column(ids / "r", "train/loss")[-1]
    for key, value in checkpoint(whole)["state_dict"].items():
        assert torch.equal(checkpoint(parts)["state_dict"][key], value), key


def test_what_was_trained_is_evaluated(data, tmp_path):
    run = train(data, tmp_path, "trainer.max_epochs=1", "plugin.name=none", "inputs.id_neighbours=2")
    tables = {name: EvalTable.read(path) for name, path in evaluate_run(RunFolder(run), "valid", "best", detect()).items()}
    assert ndcg_at(tables["sasrec"].column("rank"), 10).mean() == pytest.approx(max(column(run, "val/ndcg@10")), rel=1e-6)
    trained = {name for name, count in zip(*_names_and_counts(data), strict=True) if count}
    for candidates in ("full", "seen"):
        found = ltrec.predict(run, candidates=candidates, k=1000).table()["item_id"].unique().to_pylist()
        assert (set(found) <= trained) is (candidates == "seen"), candidates


def _names_and_counts(data):
    vocabulary = Vocabulary.load(data, Manifest.load(data))
    return vocabulary.item_id[1:], vocabulary.train_count[1:].tolist()
