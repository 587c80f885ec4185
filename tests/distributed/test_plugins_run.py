"""Every kind of plugin trained in two processes, parameters whole or sharded, across the switch, is the run of one process."""

import pytest
import torch

import ltrec.launch.training as training
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, column, tiny_config, tiny_data

KINDS = {
    "bottleneck": ["plugin.name=bottleneck", "switch.trunk_rate=0.5"],
    "copies": ["plugin.name=copies", "switch.trunk_rate=0", "causal.strata=2"],
    "melt": ["plugin.name=melt", "switch.trunk_rate=1"],
}
WAYS = {
    "ddp": ["strategy.name=stratified_ddp", "strategy.mode=per_stratum"],
    "ddp-weighted": ["strategy.name=stratified_ddp", "strategy.mode=weighted"],
    "fsdp2": ["strategy.name=stratified_fsdp2", "strategy.mode=per_stratum"],
    "fsdp2-weighted": ["strategy.name=stratified_fsdp2", "strategy.mode=weighted"],
}
STEPS = ["trainer.max_steps=7", "trainer.log_every_steps=1", "optim.eps=1e-3", "model.dropout=0", "switch.by=step", "switch.at=3"]


def train(data, out, kind, *words):
    training.train(tiny_config(data, out, *STEPS, *KINDS[kind], *words))


def train_all(rank, data, out):
    act_as_rank(rank, 2)
    for kind in KINDS:
        for way, words in WAYS.items():
            train(data, out / kind / way, kind, *words)


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path):
    data = tiny_data(tmp_path / "data")
    spawn(train_all, 2, tmp_path / "store", data, tmp_path, timeout=240)
    for kind in KINDS:
        train(data, tmp_path / kind / "alone", kind, "strategy.name=stratified")
        alone = tmp_path / kind / "alone" / "r"
        state = checkpoint(alone)["state_dict"]
        assert state["backbone.switch.flag"]
        for way in WAYS:
            run = tmp_path / kind / way / "r"
            assert column(run, "val/ndcg@10") == pytest.approx(column(alone, "val/ndcg@10"), rel=1e-3)
            assert column(run, "train/loss") == pytest.approx(column(alone, "train/loss"), rel=1e-4)
            for key, value in state.items():
                torch.testing.assert_close(
                    checkpoint(run)["state_dict"][key], value, rtol=1e-3, atol=1e-5, msg=f"{kind} {way} {key}"
                )
