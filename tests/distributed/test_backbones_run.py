"""Every backbone trained by strata in two processes, its parameters whole or sharded, is the run of one process."""

import pytest
import torch

import ltrec.run.train as training
from ltrec.config.load import load
from ltrec.models.backbones import BACKBONES, din
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, column, tiny_data, tiny_words, trained_by

STRATEGIES = ("stratified_ddp", "stratified_fsdp2", "stratified_deepspeed_stage_3")
OWN = {"sasrec": ["model.heads=1"], "gru4rec": ["model.hidden=6", "model.layers=2"], "din": ["model.layers=[6,5]"]}
STEPS = ["trainer.max_steps=5", "trainer.log_every_steps=1", "optim.eps=1e-3", "trainer.accumulate=2", "model.dropout=0"]


def train(data, out, name, *words):
    common = [w for w in tiny_words(data, out) if not w.startswith("model.")]
    training.train(load([], [*common, f"model.name={name}", "model.width=8", *OWN[name], *STEPS, *words]))


def train_all(rank, data, out):
    act_as_rank(rank, 2)
    din.KEEP_BYTES, din.CHUNK_BYTES = 0, 10_000  # candidates in chunks that are computed again: the harder road
    for name in BACKBONES:
        for strategy in STRATEGIES:
            train(data, out / name / strategy, name, *trained_by(strategy))


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path):
    data = tiny_data(tmp_path / "data")
    spawn(train_all, 2, tmp_path / "store", data, tmp_path, timeout=240)
    for name in BACKBONES:
        train(data, tmp_path / name / "alone", name, "gradients.name=stratified")
        alone = tmp_path / name / "alone" / "r"
        for strategy in STRATEGIES:
            run = tmp_path / name / strategy / "r"
            assert column(run, "val/ndcg@10") == pytest.approx(column(alone, "val/ndcg@10"), rel=1e-3)
            assert column(run, "train/loss") == pytest.approx(column(alone, "train/loss"), rel=1e-4)
            for key, value in checkpoint(alone)["state_dict"].items():
                torch.testing.assert_close(checkpoint(run)["state_dict"][key], value, rtol=1e-3, atol=1e-5, msg=f"{strategy} {key}")
