"""PIN as its authors released it: one method, alone or with the rest of their settings, and what its second stage begins with."""

from __future__ import annotations

import pytest
import torch

from ltrec.config.load import load
from ltrec.models.backbones.din import DIN
from ltrec.run.train import train
from tests.support.shards import random_users, write_dataset
from tests.support.source_tree import ROOT
from tests.support.tiny_run import checkpoint, column, lines_of

WHOLE, METHOD = ROOT / "conf/experiment/pin-released.yaml", ROOT / "conf/method/pin-released.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The whole file on five strata, two steps an epoch."""
    folder = tmp_path_factory.mktemp("released")
    write_dataset(folder / "data", random_users([24, 24, 24, 12, 12], num_items=30, longest=8), num_items=30)
    words = [f"data.path={folder}/data", f"out={folder}", "name=r", "trainer.threads=1", "trainer.accelerator=cpu"]
    return train(load([WHOLE], [*words, "trainer.log_every_steps=1", "model.width=8", "model.layers=[8,4]"])).path


def test_the_whole_file_holds_the_method():
    """Two files, one method: what differs between them is neither strata, nor rule, nor plugins, nor switch."""
    whole, method = load([WHOLE], []), load([METHOD], [])
    for section in ("strategy", "strata", "gradients", "plugin"):
        assert getattr(whole, section) == getattr(method, section), section
    assert whole.model.name == "din" and (whole.switch.trunk_rate, whole.switch.plugin_rate) == (0.1, 0.1)


def test_the_second_stage_begins_after_two_of_twelve_epochs_at_a_tenth_of_every_rate(run):
    lines = [line for line in lines_of(run) if "train/loss" in line]
    assert [line["stage"] for line in lines] == [1] * 4 + [2] * 20
    assert column(run, "lr") == pytest.approx([1e-3] * 4 + [1e-4] * 20)
    assert column(run, "lr/plugins") == pytest.approx([0.0] * 4 + [1e-4] * 20)


def test_plugins_start_alike_and_strata_weigh_alike(run):
    state = checkpoint(run, "stage1")["state_dict"]
    for name, value in state.items():
        if ".plugins." in name:
            first = ".".join("0" if part.isdigit() else part for part in name.split("."))
            assert torch.equal(value, state[first]), name
    weights = torch.tensor([[line[f"strata/weight/{z}"] for z in range(5)] for line in lines_of(run) if "strata/weight/0" in line])
    torch.testing.assert_close(weights, torch.full_like(weights, 0.2))


def test_no_layer_norm_stands_before_the_tanh():
    """So the vectors that meet it are small."""
    assert not [m for m in DIN(9, 5, width=8, layers=(8, 4)).modules() if "Norm" in type(m).__name__]
