"""Runs whose items, events and users have columns: in two processes, whole or sharded, with plugins or aligned, as in one process.

What each strategy and plugin promises is held by suites of their own, on ids. Here each is met once with columns of every kind.
"""

import pytest
import torch

import ltrec.run.train as training
from ltrec.config.load import load
from tests.support.inputs import column_data
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, column, tiny_words, trained_by

INPUTS = ["inputs.items=[all]", "inputs.events=[all,time_gap]", "inputs.users=[all]"]
STEPS = ["trainer.max_steps=4", "trainer.log_every_steps=1", "optim.eps=1e-3", "trainer.accumulate=2", "model.dropout=0"]
SWITCH = ["plugin.switch.by=step", "plugin.switch.at=2"]
OWN = {
    "sasrec": ["model.name=sasrec", "model.heads=1", "model.time_bias=true"],
    "softmax": ["model.name=sasrec", "model.heads=1", "objective.name=softmax"],
    "gru4rec": ["model.name=gru4rec", "model.hidden=6"],
    "din": ["model.name=din", "model.layers=[6,5]"],
    "bottleneck": ["model.name=sasrec", "model.heads=1", "plugin.name=bottleneck", *SWITCH],
    "copies": ["model.name=sasrec", "model.heads=1", "plugin.name=copies", "strata=2", "plugin.switch.trunk_rate=0", *SWITCH],
    "melt": ["model.name=sasrec", "model.heads=1", "plugin.name=melt", *SWITCH],
    "aligned": ["model.name=sasrec", "model.heads=1", "gradients.name=aligned"],
}
EVERY = ("stratified_ddp", "stratified_fsdp2", "stratified_deepspeed_stage_3")
WAYS = {
    **dict.fromkeys(("sasrec", "softmax", "gru4rec", "din"), EVERY),
    "bottleneck": ("stratified_ddp", "stratified_fsdp2", "stratified_deepspeed_stage_1", "stratified_deepspeed_stage_2"),
    "copies": ("stratified_ddp", "stratified_fsdp2"),
    "melt": ("stratified_ddp", "stratified_fsdp2"),
    "aligned": ("aligned_ddp",),
}


def train(data, out, name, way):
    dropped = ("model.", "objective.") if name == "softmax" else ("model.",)
    common = [word for word in tiny_words(data, out / name / way) if not word.startswith(dropped)]
    words = trained_by(way) if way != "alone" else ["gradients.name=stratified"]
    training.train(load([], [*common, "model.width=8", *STEPS, *INPUTS, *words, *OWN[name]]))


def train_all(rank, data, out, names):
    act_as_rank(rank, 2)
    for name in names:
        for way in WAYS[name]:
            train(data, out, name, way)


@pytest.mark.slow
@pytest.mark.parametrize("names", [("sasrec", "softmax", "gru4rec", "din"), ("bottleneck", "copies", "melt", "aligned")])
def test_two_processes_train_like_one(tmp_path, names):
    data = column_data(tmp_path / "data")
    spawn(train_all, 2, tmp_path / "store", data, tmp_path, names, timeout=300)
    for name in names:
        train(data, tmp_path, name, "alone")
        alone = tmp_path / name / "alone" / "r"
        for way in WAYS[name]:
            run = tmp_path / name / way / "r"
            assert column(run, "train/loss") == pytest.approx(column(alone, "train/loss"), rel=1e-4), (name, way)
            assert column(run, "val/ndcg@10") == pytest.approx(column(alone, "val/ndcg@10"), rel=1e-3), (name, way)
            state = checkpoint(alone)["state_dict"]
            assert checkpoint(run)["state_dict"].keys() == state.keys()
            for key, value in checkpoint(run)["state_dict"].items():
                torch.testing.assert_close(value, state[key], rtol=1e-3, atol=1e-5, msg=f"{name} {way} {key}")
            assert any("items.columns.of_text" in key for key in state)
