"""A new run starts from another's trunk: its weights and nothing else, whatever kind of run it was, or it is refused."""

import hashlib
import json
import shutil

import pytest
import torch

import ltrec.run.train as training
from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.run.checkpoint.init_from import trunk_of
from tests.support.tiny_run import checkpoint, column, lines_of, same, tiny_config, tiny_data, tiny_words

PLUGGED = ["gradients.name=stratified", "plugin.name=bottleneck", "plugin.switch.by=step"]
KINDS = {
    "joint": [],
    "plugged": [*PLUGGED, "plugin.switch.at=5"],
    "copies": [*PLUGGED, "plugin.name=copies", "plugin.switch.at=5", "strata=2"],
}


@pytest.fixture(scope="module")
def sources(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("sources")
    return {kind: training.train(tiny_config(data, out / kind, *words)).path for kind, words in KINDS.items()}


def train(data, out, *words):
    return training.train(tiny_config(data, out, *words)).path


@pytest.mark.parametrize("source", KINDS)
@pytest.mark.parametrize("target", KINDS)
def test_the_trunk_of_any_run_starts_any_other(data, sources, tmp_path, source, target):
    """Weights after a step at a rate of nearly nothing are those of the source; the optimiser, the clock and the rest are new."""
    words = [*KINDS[target], "plugin.switch.at=0"] if target != "joint" else []
    run = train(data, tmp_path, *words, f"init_from={sources[source]}", "trainer.max_steps=1", "optim.lr=1e-30")
    best, mine = checkpoint(sources[source], "best"), checkpoint(run)
    assert same(trunk_of(mine["state_dict"]), trunk_of(best["state_dict"]))
    assert mine["global_step"] == 1
    assert {float(state["step"]) for state in mine["optimizer_states"][0]["state"].values()} == {1.0}
    said = json.loads((run / "provenance.json").read_text())["init_from"]
    file = sources[source] / "checkpoints" / "best.ckpt"
    seen = best["StreamDataModule"]
    span = {name: seen[name] for name in ("manifest_digest", "data_digest")} | {"steps": seen["next_step"]}
    assert said == {"checkpoint": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "trained_on": [span]}
    assert mine["StreamDataModule"]["earlier"] == [span]


def test_plugins_are_as_fresh_as_without(data, sources, tmp_path):
    words = [*PLUGGED, "plugin.switch.at=0", "trainer.max_steps=1", "optim.lr=1e-30"]
    started = checkpoint(train(data, tmp_path / "a", *words, f"init_from={sources['plugged']}"))["state_dict"]
    fresh = checkpoint(train(data, tmp_path / "b", *words))["state_dict"]
    plugins = [name for name in fresh if ".plugins." in name]
    assert plugins and all(torch.allclose(started[name], fresh[name], rtol=0, atol=1e-20) for name in plugins)


def test_a_checkpoint_may_be_named_instead_of_a_run(data, sources, tmp_path):
    file = sources["joint"] / "checkpoints" / "last.ckpt"
    run = train(data, tmp_path, f"init_from={file}", "trainer.max_steps=1", "optim.lr=1e-30")
    assert same(checkpoint(run)["state_dict"], checkpoint(sources["joint"])["state_dict"])


def test_two_runs_are_one_run_cut_in_two(data, tmp_path):
    """The second run draws its own batches and begins its own schedule, but it measures first what the first had come to."""
    first = train(data, tmp_path / "first", "gradients.name=stratified")
    words = [
        *PLUGGED,
        "plugin.switch.at=0",
        f"init_from={first}",
        "optim.lr=1e-30",
        "optim.schedule=constant",
        "trainer.max_epochs=1",
    ]
    second = train(data, tmp_path / "second", *words)
    assert column(second, "val/ndcg@10") == [max(column(first, "val/ndcg@10"))]
    assert (second / "checkpoints" / "best.ckpt").exists()


def test_a_resumed_run_does_not_ask_for_its_source_again(data, sources, tmp_path):
    source = shutil.copytree(sources["joint"], tmp_path / "source")
    words = [*PLUGGED, "plugin.switch.at=0", f"init_from={source}"]
    train(data, tmp_path / "whole", *words)
    train(data, tmp_path / "cut", *words, "trainer.max_epochs=2", "optim.schedule=constant")
    whole = train(data, tmp_path / "constant", *words, "optim.schedule=constant")
    shutil.rmtree(source)
    before = json.loads((tmp_path / "cut/r/provenance.json").read_text())["init_from"]
    run = train(data, tmp_path / "cut", *words, "optim.schedule=constant")
    assert same(checkpoint(run)["state_dict"], checkpoint(whole)["state_dict"]) and lines_of(run) == lines_of(whole)
    assert json.loads((run / "provenance.json").read_text())["init_from"] == before


def test_fresh_weights_leave_no_word_in_provenance(sources):
    assert "init_from" not in json.loads((sources["joint"] / "provenance.json").read_text())


def train_other(data, out, *words):
    """Without what only SASRec knows."""
    known = [w for w in tiny_words(data, out) if "model.name=gru4rec" not in words or w != "model.heads=1"]
    return training.train(load([], [*known, *words]))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.width=16"], r"best\.ckpt holds another trunk \(\S+ is \(24,\) there, \(48,\) here\); .* with: model\.width=8$"),
        (
            ["model.blocks=3", "model.heads=2"],
            r"\(blocks\.2\S+ is absent there, \(.*\) here\); .*: model\.blocks=2, model\.heads=1$",
        ),
        (["stream.max_len=5"], r"trunk \(positions\.weight is \(6, 8\) there, \(5, 8\) here\); .*: stream\.max_len=6$"),
        (["model.name=gru4rec"], r"another trunk .*: model\.name=sasrec"),
    ],
)
def test_another_trunk_is_refused(data, sources, tmp_path, words, message):
    with pytest.raises(UserError, match=message) as caught:
        train_other(data, tmp_path, f"init_from={sources['plugged']}", *words)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_what_is_no_source_is_refused(data, sources, tmp_path):
    other = tiny_data(tmp_path / "other", seed=4)
    (tmp_path / "empty").mkdir()
    torch.save({"model": 1}, tmp_path / "foreign.ckpt")
    unstarted = tmp_path / "unstarted"
    unstarted.mkdir()
    shutil.copy(sources["joint"] / "config.yaml", unstarted)
    for source, here, message in (
        (
            sources["joint"],
            other,
            r"trained on another data set \(digest \w{12}, here \w{12}\); let init_from name a run on this one",
        ),
        (tmp_path / "nowhere", data, r"^init_from=\S+nowhere: no such run folder or checkpoint$"),
        (tmp_path / "empty", data, r"^init_from=\S+empty is neither a run folder \(it has no config\.yaml\) nor a checkpoint$"),
        (tmp_path / "foreign.ckpt", data, r"was not written by 'ltrec train'"),
        (unstarted, data, r"holds no checkpoint: train the run first"),
    ):
        with pytest.raises(UserError, match=message):
            train(here, tmp_path / "out", f"init_from={source}")
    assert not (tmp_path / "out").exists()
