"""Stratified training by the command line: impossible combinations, non-finite steps, probes in metrics.jsonl."""

import pytest
import torch

import ltrec.run.train as training
from ltrec.cli.main import main
from ltrec.core.errors import UserError
from ltrec.core.losses import ExampleLosses
from ltrec.training.module import BackboneModule
from tests.support.tiny_run import checkpoint, column, lines_of, same, tiny_config, tiny_words

WEIGHTED, REPLAY = "gradients.mode=weighted", "gradients.mode=replay"
IMPOSSIBLE = {
    "coordinate, weighted": (["gradients.rule.name=agr_sum", WEIGHTED], "mode weighted cannot run a coordinate-wise rule"),
    "coordinate, replay": (["gradients.rule.name=agr_sum", REPLAY], "mode replay cannot run a coordinate-wise rule"),
    "gram, weighted": (["gradients.rule.name=upgrad", WEIGHTED], "mode weighted cannot run a rule on the Gram matrix"),
    "linear, replay": (["gradients.rule.name=backdoor", REPLAY], "mode replay cannot run a linear rule"),
    "replay, accumulate": (
        ["gradients.rule.name=upgrad", REPLAY, "trainer.accumulate=2"],
        "mode replay cannot accumulate 2 micro-batches",
    ),
    "unknown mode": (["gradients.mode=weigthed"], "did you mean 'weighted'?"),
    "unknown name": (["gradients.name=stratifyed"], "did you mean 'stratified'?"),
    "unknown policy": (["gradients.nonfinite=skipp"], "did you mean 'skip'?"),
    "negative probe": (["gradients.probe_every_steps=-1"], "probe_every_steps must be at least 0"),
}


@pytest.mark.parametrize(("words", "message"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_impossible_combinations_are_refused_in_one_line(data, tmp_path, capsys, words, message):
    assert main(["train", *tiny_words(data, tmp_path, "gradients.name=stratified", *words)]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ") and message in shown and shown.count("\n") == 1, shown
    assert list(tmp_path.iterdir()) == [], "and no run folder is left behind"


def spoil(monkeypatch, step):
    """Stratum 1 has no number for a loss in one step."""
    losses = BackboneModule.losses

    def spoilt(self, batch):
        example = losses(self, batch)
        if batch.step != step:
            return example
        return ExampleLosses(torch.where(example.stratum_N == 1, torch.nan, example.loss_N), example.stratum_N)

    monkeypatch.setattr(BackboneModule, "losses", spoilt)


@pytest.mark.parametrize(
    "words",
    [[], [WEIGHTED], ["gradients.rule.name=upgrad", REPLAY], ["gradients.rule.name=group_dro", WEIGHTED]],
    ids=lambda words: " ".join(words),
)
def test_a_non_finite_step_is_stopped_or_skipped_as_configured(data, tmp_path, monkeypatch, words):
    spoil(monkeypatch, 2)
    words = ["gradients.name=stratified", "trainer.max_epochs=1", *words]
    with pytest.raises(UserError, match=r"^training diverged: a stratum's gradient .* after step 3"):
        training.train(tiny_config(data, tmp_path / "stop", *words))
    training.train(tiny_config(data, tmp_path / "skip", "gradients.nonfinite=skip", *words))
    run = tmp_path / "skip" / "r"
    assert checkpoint(run)["global_step"] == 4 and column(run, "strata/skipped") == [1.0]
    assert all(value == value for line in lines_of(run) for value in line.values())
    [counts] = {state["step"].item() for state in checkpoint(run)["optimizer_states"][0]["state"].values()}
    assert counts == 3, "the optimiser has not seen the skipped step"


def test_a_probe_adds_lines_and_changes_nothing_else(data, tmp_path):
    runs = {}
    for every in (0, 3):
        words = ["gradients.name=stratified", WEIGHTED, f"gradients.probe_every_steps={every}", "trainer.max_epochs=2"]
        training.train(tiny_config(data, tmp_path / str(every), *words))
        runs[every] = tmp_path / str(every) / "r"
    plain, probed = (checkpoint(runs[every]) for every in (0, 3))
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "StreamDataModule"):
        assert same(plain[key], probed[key]), key
    assert column(runs[0], "strata/cosine/0-1") == [] and len(column(runs[3], "strata/cosine/0-1")) == 2
    seen = [
        {k: v for k, v in line.items() if not k.startswith(("strata/cosine", "strata/conflict", "strata/grad_norm"))}
        for line in lines_of(runs[3])
    ]
    assert seen == lines_of(runs[0])
