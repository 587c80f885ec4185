"""Runs whose targets have weights, and some of whose events are not targets: in two processes, whole or sharded, as in one process.

What an update must be is held by suites of the engine and of each strategy. Here real modules meet a prepared data set.
"""

import pytest
import torch

import ltrec.run.train as training
from ltrec.config.load import load
from tests.support.columned import SCHEMA, TARGETS, with_columns
from tests.support.ranks import act_as_rank
from tests.support.shards import random_users, write_dataset
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, column, tiny_words, trained_by

STEPS = ["trainer.max_steps=4", "trainer.log_every_steps=1", "optim.eps=1e-3", "trainer.accumulate=2", "model.dropout=0"]
SHARDED = ("stratified_fsdp2", "stratified_deepspeed_stage_1", "stratified_deepspeed_stage_2", "stratified_deepspeed_stage_3")
RUNS = {
    "linear": ([], ("stratified_ddp", *SHARDED)),
    "weighted": (["gradients.mode=weighted"], ("stratified_ddp", "stratified_fsdp2")),
    "gram": (["gradients.rule.name=upgrad"], ("stratified_ddp", *SHARDED)),
    "replay": (["gradients.rule.name=upgrad", "gradients.mode=replay", "trainer.accumulate=1"], ("stratified_ddp",)),
    "expected counts": (["gradients.estimator=horvitz_thompson"], ("stratified_fsdp2", "stratified_deepspeed_stage_2")),
    "users": (["stream.unit=user"], ("stratified_fsdp2", "stratified_deepspeed_stage_2")),
    "plugins": (["plugin.name=bottleneck", "plugin.switch.by=step", "plugin.switch.at=2"], ("stratified_fsdp2",)),
}


def train(data, out, name, way):
    words = trained_by(way) if way != "alone" else ["gradients.name=stratified"]
    training.train(load([], [*tiny_words(data, out / name / way), *STEPS, *words, *RUNS[name][0]]))


def train_all(rank, data, out):
    act_as_rank(rank, 2)
    for name, (_, ways) in RUNS.items():
        for way in ways:
            train(data, out, name, way)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("weights")
    users = with_columns(random_users([40, 30, 20], num_items=30, longest=8))
    write_dataset(out / "data", users, num_items=30, schema=SCHEMA, split={"targets": TARGETS})
    spawn(train_all, 2, out / "store", out / "data", out, timeout=300)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_two_processes_train_like_one(runs, name):
    train(runs / "data", runs, name, "alone")
    alone = runs / name / "alone" / "r"
    for way in RUNS[name][1]:
        run = runs / name / way / "r"
        assert column(run, "train/loss") == pytest.approx(column(alone, "train/loss"), rel=1e-4), way
        assert column(run, "val/ndcg@10") == pytest.approx(column(alone, "val/ndcg@10"), rel=1e-3), way
        for key, value in checkpoint(alone)["state_dict"].items():
            torch.testing.assert_close(checkpoint(run)["state_dict"][key], value, rtol=1e-3, atol=1e-5, msg=f"{way} {key}")
