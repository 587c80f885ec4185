"""The second stage begins with what was validated: the average, by every clock and for every kind of plugin."""

import pytest
import torch
from pytorch_lightning.callbacks import Callback

import ltrec.run.train as training
from ltrec.training.callbacks.weight_average import WeightAverage
from ltrec.training.checkpoints.form import AVERAGE
from tests.support.extra_callbacks import extra
from tests.support.scripted import script_validation
from tests.support.tiny_run import STEPS_PER_EPOCH, checkpoint, lines_of, same, tiny_config


def train(data, out, *words):
    return training.train(tiny_config(data, out, *words)).path


PLUGGED = [
    "gradients.name=stratified",
    "trainer.ema=0.9",
    "trainer.log_every_steps=1",
    "plugin.switch.by=step",
    "plugin.switch.at=4",
    "optim.lr=0.05",
]


class Settled(Callback):
    """Weights and average right before the first step of the second stage."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if pl_module.plugins_awake and not hasattr(self, "weights"):
            self.weights = {name: p.detach().clone() for name, p in pl_module.named_parameters()}
            callback = next(c for c in trainer.callbacks if isinstance(c, WeightAverage))
            self.updates = callback.updates
            self.average = dict(zip(self.weights, [part.clone() for part in callback.average], strict=True))


@pytest.mark.parametrize("plugin", ["bottleneck", "copies", "melt"])
def test_the_second_stage_begins_with_what_was_validated(data, tmp_path, plugin):
    """The trunk's weights become their average; whatever plugins read of the trunk they read there; all is averaged anew."""
    seen = Settled()
    with extra(seen, first=False):
        run = train(data, tmp_path, *PLUGGED, f"plugin.name={plugin}", "plugin.switch.trunk_rate=0")
    before = checkpoint(run, "stage1")[AVERAGE]["state_dict"]
    assert same(seen.weights, seen.average) and seen.updates == 0
    trunk = [name for name in seen.weights if name.startswith("backbone.trunk.")]
    assert trunk and all(torch.equal(seen.weights[name], before[name]) for name in trunk)
    after = checkpoint(run)
    assert after[AVERAGE]["updates"] == after["global_step"] - 4
    assert all(torch.equal(after[AVERAGE]["state_dict"][name], before[name]) for name in trunk), "frozen, so it is its own average"
    if plugin == "copies":
        copied = [name for name in seen.weights if ".copies." in name]
        assert copied and all(any(torch.equal(seen.weights[name], before[t]) for t in trunk) for name in copied)


def test_after_a_plateau_the_second_stage_begins_with_the_best_average(data, tmp_path, monkeypatch):
    script_validation(monkeypatch, [0.1, 0.5, 0.3, 0.2, 0.2])
    seen = Settled()
    with extra(seen, first=False):
        words = [*PLUGGED, "plugin.name=bottleneck", "plugin.switch.by=plateau", "plugin.switch.at=1", "trainer.max_epochs=5"]
        run = train(data, tmp_path, *words)
    best = checkpoint(run, "stage1")
    assert best["global_step"] == 2 * STEPS_PER_EPOCH
    assert same(seen.weights, seen.average) and seen.updates == 0
    assert all(torch.equal(seen.weights[name], best[AVERAGE]["state_dict"][name]) for name in seen.weights)
    assert [line["stage"] for line in lines_of(run) if "train/loss" in line].index(2) == 3 * STEPS_PER_EPOCH
