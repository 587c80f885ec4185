"""Whole runs under FSDP2 in two gloo processes: like one device, through a kill, into other numbers of processes, and evaluated."""

from contextlib import suppress

import pytest
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback

import ltrec.run.train as training
from ltrec.config.load import load
from ltrec.core.storage.run_folder import RunFolder
from ltrec.core.world import World
from ltrec.evaluation.metrics import ndcg_at
from ltrec.evaluation.table import EvalTable
from ltrec.run.build.components import build_plan, open_data
from ltrec.run.build.strategies import build_stratified_options
from ltrec.run.build.training import build_datamodule, build_module
from ltrec.run.evaluate import evaluate_run
from ltrec.run.process.rendezvous_env import Processes
from tests.support.extra_callbacks import extra
from tests.support.naive_strata import naive_step
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.streaming import epochs
from tests.support.tiny_run import checkpoint, column, lines_of, refuse_differences, tiny_config, tiny_words

SHARDED, ALONE = ("gradients.name=stratified", "strategy.name=fsdp2"), "gradients.name=stratified"
EXACT = ["model.dropout=0", "trainer.log_every_steps=1", "optim.eps=1e-3", "optim.weight_decay=0.1"]
FIVE = [*EXACT, "trainer.max_steps=5"]
NAIVE = {
    "per_stratum": [*FIVE, "optim.clip_norm=0.05", "trainer.accumulate=2"],
    "weighted": [*FIVE, "gradients.mode=weighted", "optim.clip_norm=0.05", "trainer.accumulate=2"],
    "upgrad": [*FIVE, "gradients.rule.name=upgrad"],
}
LIKE_ALONE = {
    "bf16": [*FIVE, "trainer.precision=bf16-mixed"],
    "in_batch": [*FIVE, "objective.name=in_batch", "trainer.accumulate=2"],
    "few chunks": [*FIVE, "evaluation.chunk_rows=1000"],
    "average": [*FIVE, "trainer.ema=0.6", "optim.lr=0.02", "trainer.accumulate=2"],
}
STATEFUL = ["gradients.rule.name=group_dro", "optim.clip_norm=0.1", "trainer.accumulate=2", "trainer.ema=0.8", "optim.lr=0.02"]


class Kill(BaseException):
    """Ends the work at once."""


class KillAt(Callback):
    """Dies on every rank, before the run's own callbacks act."""

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 6:
            raise Kill


def train(data, out, *words):
    common = [w for w in tiny_words(data, out) if "objective.name=in_batch" not in words or not w.startswith("objective.")]
    training.train(load([], [*common, *words]))


def train_killed(data, out, *words):
    with extra(KillAt(), first=True), suppress(Kill):
        train(data, out, *words)


def train_all(rank, data, out):
    act_as_rank(rank, 2)
    for name in [*NAIVE, *LIKE_ALONE]:
        train(data, out / name, *SHARDED, *{**NAIVE, **LIKE_ALONE}[name])
    train(data, out / "undisturbed", *SHARDED, *STATEFUL)
    for name in ("killed", "spoilt"):
        train_killed(data, out / name, *SHARDED, *STATEFUL)
    if rank == 0:
        (out / "spoilt/r/checkpoints/last.ckpt").write_bytes(b"torn")
    dist.barrier()
    for name in ("killed", "spoilt"):
        train(data, out / name, *SHARDED, *STATEFUL)
    train_killed(data, out / "halved", *SHARDED, *STATEFUL, "model.dropout=0")


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    spawn(train_all, 2, out / "store", data, out, timeout=280)
    return out


def naive_run(data, *words):
    """Five optimiser steps on the same global batches, one backward pass per stratum, in plain torch."""
    config = tiny_config(data, data / "unused", ALONE, *words, "trainer.accumulate=1")
    opened = open_data(config)
    plan = build_plan(config, opened)
    stage, told = build_module(config, opened, plan), build_stratified_options(config, opened, plan)
    loader = build_datamodule(config, opened, plan, World()).loader
    optimizer = stage.make_optimizer(stage)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, stage.rate)

    def weights(gram_KK, counts_K):
        counts_K = counts_K.double()
        return told.rule.weights(counts_K) if told.rule.kind == "linear" else told.rule.weights(gram_KK, counts_K, 0)

    for batch in epochs(loader, 2)[:5]:
        found = naive_step(stage, [batch], weights, stage.plugin_of, told.prior_K)
        for name, parameter in stage.named_parameters():
            parameter.grad = found.gradients[name].clone()
        if config.optim.clip_norm:
            torch.nn.utils.clip_grad_norm_(stage.parameters(), config.optim.clip_norm)
        optimizer.step()
        schedule.step()
    return stage.state_dict(), optimizer.state_dict()


@pytest.mark.parametrize("name", NAIVE)
def test_weights_and_optimiser_equal_the_definition_and_one_device_s_layout(data, runs, name):
    weights, optimizer = naive_run(data, *[w for w in NAIVE[name] if not w.startswith("strategy.")])
    found = checkpoint(runs / name / "r")
    assert found["global_step"] == 5
    assert found["state_dict"].keys() == weights.keys()
    for key, weight in weights.items():
        torch.testing.assert_close(found["state_dict"][key], weight, rtol=1e-5, atol=1e-6, msg=key)
    mine = found["optimizer_states"][0]
    assert [g["params"] for g in mine["param_groups"]] == [g["params"] for g in optimizer["param_groups"]]
    for number, state in optimizer["state"].items():
        assert mine["state"][number].keys() == state.keys()
        for key, value in state.items():
            torch.testing.assert_close(mine["state"][number][key], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "rel"), [("bf16", 1e-2), ("in_batch", 1e-4), ("few chunks", 1e-4), ("average", 1e-4)])
def test_losses_and_gradient_norms_equal_one_device_s(data, runs, tmp_path, name, rel):
    train(data, tmp_path, ALONE, *LIKE_ALONE[name])
    for key in ("train/loss", "grad_norm"):
        assert column(runs / name / "r", key) == pytest.approx(column(tmp_path / "r", key), rel=rel)
    assert len(column(tmp_path / "r", "val/ndcg@10")) == len(column(runs / name / "r", "val/ndcg@10"))
    assert {v.dtype for v in checkpoint(runs / name / "r")["state_dict"].values()} == {torch.float32}


def test_the_average_of_shards_is_one_device_s(data, runs, tmp_path):
    train(data, tmp_path, ALONE, *LIKE_ALONE["average"])
    mine, one = runs / "average" / "r", tmp_path / "r"
    assert column(mine, "val/ndcg@10") == pytest.approx(column(one, "val/ndcg@10"), abs=1e-5)
    found, expected = checkpoint(mine)["average"], checkpoint(one)["average"]
    assert found["updates"] == expected["updates"] == 5
    assert found["state_dict"].keys() == expected["state_dict"].keys()
    for key, weight in expected["state_dict"].items():
        torch.testing.assert_close(found["state_dict"][key], weight, rtol=1e-4, atol=1e-6, msg=key)


def test_killed_and_resumed_equals_undisturbed(runs):
    assert checkpoint(runs / "undisturbed" / "r")["global_step"] == 12
    refuse_differences(runs / "killed" / "r", runs / "undisturbed" / "r")


def test_from_the_checkpoint_before_a_damaged_one_the_end_is_the_same(runs):
    assert (runs / "spoilt/r/checkpoints/aside.ckpt").read_bytes() == b"torn"
    refuse_differences(runs / "spoilt" / "r", runs / "undisturbed" / "r")


def go_on_alone(rank, data, out):
    act_as_rank(rank, 1)
    train(data, out, *SHARDED, *STATEFUL, "model.dropout=0")


def test_another_number_of_processes_takes_a_run_up_and_evaluates_it(data, runs, tmp_path):
    out = runs / "halved"
    assert checkpoint(out / "r")["global_step"] == 5
    before = lines_of(out / "r")
    spawn(go_on_alone, 1, tmp_path / "store", data, out)
    assert checkpoint(out / "r")["global_step"] == 12
    assert lines_of(out / "r")[: len(before)] == before
    train(data, tmp_path / "one", ALONE, *STATEFUL, "model.dropout=0")
    assert column(out / "r", "train/loss") == pytest.approx(column(tmp_path / "one" / "r", "train/loss"), rel=1e-3)
    files = evaluate_run(RunFolder(out / "r"), "valid", "best", Processes(World(), 1, 0))
    ranks = EvalTable.read(files["sasrec"]).column("rank")
    assert ndcg_at(ranks, 10).mean() == pytest.approx(max(column(out / "r", "val/ndcg@10")), rel=1e-6)
