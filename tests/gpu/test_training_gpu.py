"""Training on a GPU comes to what it comes to on the CPU: all ways to train, bf16, FSDP2, and a run, evaluated and resumed."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import ltrec.run.train as training
from benchmarks.harness.device_checks import CHECKS, TINY, check, distance
from benchmarks.harness.device_steps import measure
from benchmarks.harness.steps import WAYS, batches_of, fit, weights_of
from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.table import EvalTable
from ltrec.run.evaluate import evaluate_run
from ltrec.run.process.detect import detect
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, column, tiny_config, tiny_data

WORLD = torch.cuda.device_count()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")]
BACKEND = "cpu:gloo,cuda:nccl"
STILL = ("model.dropout=0", "optim.schedule=constant", "optim.warmup_steps=0", "trainer.log_every_steps=1")
METHODS = {
    "joint": (),
    "stratified": ("gradients.name=stratified",),
    "softmax in bf16": ("objective.name=softmax", "objective.matmul=bfloat16", "trainer.precision=bf16-mixed"),
    "adversary": ("gradients.name=stratified", "adversary.weight=0.1"),
}


@pytest.mark.parametrize("what", CHECKS)
def test_weights_are_those_of_the_cpu(what):
    assert [found for found in check(what, "cuda") if not found["right"]] == []


@pytest.mark.parametrize("way", WAYS)
def test_a_step_waits_once_or_never(way):
    found = measure(TINY, WAYS[way], device="cuda", timed=1)
    assert found.waits == (0 if WAYS[way].joint else 1), found.wait_lines


@pytest.mark.parametrize("way", ["joint", "weighted", "per_stratum, segments", "plugins, segments"])
def test_bf16_is_near_float32(way):
    exact, half = (
        weights_of(fit(TINY, WAYS[way], batches_of(TINY, 3), [], device="cuda", precision=precision))
        for precision in ("32-true", "bf16-mixed")
    )
    assert 1e-7 < distance(half, exact) < 0.05


def train(data, out, *words, device="gpu", epochs=3):
    """A tiny run; `device` and `epochs` so that this can be tried on a CPU."""
    objective = [] if any(word.startswith("objective.name") for word in words) else ["objective.negatives=8"]
    config = tiny_config(data, out, *STILL, *objective, *words, f"trainer.accelerator={device}", f"trainer.max_epochs={epochs}")
    training.train(config)
    return out / "r"


def whole_way(folder, *words, device="gpu"):
    """Train two epochs, evaluate, resume for a third; beside an undisturbed run of three."""
    data = tiny_data(folder / "data")
    train(data, folder / "resumed", *words, device=device, epochs=2)
    run = folder / "resumed/r"
    ranks = EvalTable.read(next(iter(evaluate_run(RunFolder(run), "valid", "last", detect()).values()))).column("rank")
    assert np.all(np.asarray(ranks) >= 1)
    train(data, folder / "resumed", *words, device=device)
    train(data, folder / "undisturbed", *words, device=device)
    resumed, undisturbed = checkpoint(run), checkpoint(folder / "undisturbed/r")
    assert resumed["global_step"] == undisturbed["global_step"] == 12
    assert column(run, "train/loss")[-1] == pytest.approx(column(folder / "undisturbed/r", "train/loss")[-1], rel=2e-2)
    for name, weight in undisturbed["state_dict"].items():
        assert_close(resumed["state_dict"][name], weight, rtol=2e-2, atol=2e-3, msg=name)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_is_trained_evaluated_and_resumed(method, tmp_path):
    whole_way(tmp_path, *METHODS[method])


def train_rank(rank, data, out, words):
    act_as_rank(rank, WORLD)
    train(data, out, *words)


@pytest.mark.skipif(WORLD < 2, reason="one GPU is one rank")
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
@pytest.mark.parametrize("mode", ["per_stratum", "weighted"])
def test_all_gpus_train_what_one_trains(strategy, mode, tmp_path):
    data, words = tiny_data(tmp_path / "data"), ["gradients.name=stratified", f"gradients.mode={mode}"]
    train(data, tmp_path / "alone", *words)
    many = [*words, f"strategy.name={strategy}"]
    spawn(train_rank, WORLD, tmp_path / "store", data, tmp_path / "many", many, timeout=280, backend=BACKEND)
    alone, together = (checkpoint(tmp_path / name / "r")["state_dict"] for name in ("alone", "many"))
    for name, weight in alone.items():
        assert_close(together[name].cpu(), weight.cpu(), rtol=1e-3, atol=1e-4, msg=name)
