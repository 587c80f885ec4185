"""Every file in conf/model as a user types it: trained, ranked, predicted; alone, on two processes, and by strata."""

import pytest
import torch

import ltrec.run.train as training
from ltrec.cli.main import main
from ltrec.config.load import load
from ltrec.evaluation.summary import summarise
from ltrec.evaluation.table import EvalTable
from tests.support.commands import ltrec
from tests.support.source_tree import ROOT
from tests.support.tiny_run import checkpoint, tiny_words, trained_by

MODELS = sorted((ROOT / "conf/model").glob("*.yaml"))
NAMES = [path.stem for path in MODELS]
ONE_BY_ONE, TOGETHER = ["gradients.mode=per_stratum"], ["gradients.mode=weighted"]
SMALL = {
    "sasrec": ["model.heads=1", "objective.negatives=8"],
    "gru4rec": ["model.hidden=6", "objective.negatives=8"],
    "din": ["model.layers=[6,5]", "objective.negatives=8"],
}
"""Of width 8, without dropout, with a loss that all of them know."""
LEARNING = ["trainer.max_epochs=30", "trainer.accelerator=cpu", "trainer.threads=1", "stream.max_len=20", "optim.lr=5e-3"]
"""Seven steps an epoch."""
WAYS = [
    ("sasrec", "joint", 1),
    ("gru4rec", "joint", 1),
    ("din", "joint", 1),
    ("gru4rec", "stratified", 2),
    ("din", "stratified", 2),
]
"""(model, strategy, processes); SASRec by strata has tests of its own."""


def tiny(data, out, name, *words):
    common = [w for w in tiny_words(data, out) if not w.startswith(("model.", "objective."))]
    return load([], [*common, f"model.name={name}", "model.width=8", "model.dropout=0", *SMALL[name], *words])


@pytest.mark.parametrize("name", NAMES)
def test_strata_one_by_one_and_in_one_weighted_pass_are_the_same_run(data, tmp_path, name):
    weights = []
    for number, mode in enumerate((ONE_BY_ONE, TOGETHER)):
        words = ["gradients.name=stratified", *mode, "optim.eps=1e-3", "trainer.max_epochs=2"]
        training.train(tiny(data, tmp_path / str(number), name, *words))
        weights.append(checkpoint(tmp_path / str(number) / "r")["state_dict"])
    assert weights[0].keys() == weights[1].keys()
    for key, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][key], rtol=1e-4, atol=1e-6, msg=key)


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """A synthetic log, prepared."""
    folder = tmp_path_factory.mktemp("logs")
    for words in (
        ["fetch", "synthetic", "--users", 600, "--items", 120, "--seed", 3, "--out", folder / "raw"],
        ["prepare", folder / "raw" / "events.parquet", "--out", folder / "data"],
    ):
        assert main([str(word) for word in words]) == 0
    return folder / "data"


def ndcg(run, name):
    """Of all users, the head and the tail."""
    config = load([run / "config.yaml"], []).evaluation
    groups = summarise(EvalTable.read(run / "eval" / f"{name}.parquet"), config).groups
    return {group: groups[group].metrics["ndcg@10"].mean for group in ("all", "head", "tail")}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "strategy", "processes"), WAYS)
def test_it_learns_and_beats_popularity(logs, tmp_path, model, strategy, processes):
    run = tmp_path / "runs" / "r"
    words = [f"data.path={logs}", f"out={run.parent}", "name=r", *trained_by(strategy), *LEARNING]
    file = ROOT / "conf/model" / f"{model}.yaml"
    if processes > 1:
        ltrec("train", file, *words, processes=processes)
    else:
        assert main(["train", str(file), *words]) == 0
    assert main(["evaluate", str(run)]) == 0
    assert main(["predict", str(run), "--k", "5"]) == 0
    assert {model for model, _, _ in WAYS} == set(NAMES)
    mine, popular = ndcg(run, "test"), ndcg(run, "baseline-popularity-test")
    assert all(mine[group] > 1.2 * popular[group] for group in mine), (mine, popular)
    assert (run / "predictions" / "top-k.parquet").exists()
