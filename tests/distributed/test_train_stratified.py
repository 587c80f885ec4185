"""`ltrec train` by strata: two processes like one, one stratum like joint training, in-batch negatives by any road alike."""

from pathlib import Path

import pytest

import ltrec.run.train as training
from ltrec.config.load import load
from ltrec.core.errors import UserError
from tests.support.commands import ltrec
from tests.support.ranks import act_as_rank
from tests.support.shards import random_users, write_dataset
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, column, same, tiny_words, trained_by

SPARING = ["trainer.checkpoint_every_steps=0", "trainer.validate_every_epochs=8"]
EVERY_STEP = ["model.dropout=0", "trainer.log_every_steps=1", *SPARING]
LINEAR, GRAM = ["gradients.rule.name=backdoor"], ["gradients.rule.name=upgrad"]
IN_BATCH = [*EVERY_STEP, "objective.name=in_batch", "trainer.max_epochs=2", "evaluation.chunk_rows=1000"]
THIRTY = [*EVERY_STEP, "trainer.max_epochs=8"]
TOUCHED = [*EVERY_STEP, "trainer.max_epochs=2", "objective.scope=shared", "gradients.rows=touched", "strategy.check_every_steps=1"]
QUICK = {
    "linear": [*THIRTY, *LINEAR, "strategy.check_every_steps=1"],
    "linear-weighted": [*THIRTY, *LINEAR, "gradients.mode=weighted"],
    "gram-accumulate": [*THIRTY, *GRAM, "trainer.accumulate=2", "optim.clip_norm=0.5"],
    "in-batch-retained": [*IN_BATCH, *LINEAR],
    "in-batch-weighted": [*IN_BATCH, *LINEAR, "gradients.mode=weighted"],
    "touched-gram": [*TOUCHED, *GRAM, "trainer.accumulate=2", "optim.clip_norm=0.5"],
    "touched-weighted": [*TOUCHED, *LINEAR, "gradients.mode=weighted", "gradients.probe_every_steps=3", "optim.name=lazy_adamw"],
    "touched-joint": [*TOUCHED, "gradients.name=joint", "trainer.accumulate=2", "optim.clip_norm=0.5"],
}
"""Runs that one process and two must agree on; in the first one every rank's every bit is compared at every step, too."""
SLOW = {
    "linear-accumulate": [*THIRTY, *LINEAR, "trainer.accumulate=2", "optim.clip_norm=0.5"],
    "gram": [*THIRTY, *GRAM],
    "gram-replay": [*THIRTY, *GRAM, "gradients.mode=replay"],
    "coordinate": [*THIRTY, "gradients.rule.name=agr_sum"],
    "in-batch-gram": [*IN_BATCH, *GRAM],
}
"""The same for the slow suite."""
ONE_STRATUM = {
    "joint": ["gradients.name=joint"],
    "weighted": ["gradients.name=stratified", "gradients.mode=weighted"],
    "joint-accumulate": ["gradients.name=joint", "trainer.accumulate=2"],
    "weighted-accumulate": ["gradients.name=stratified", "gradients.mode=weighted", "trainer.accumulate=2"],
}
"""Runs over the data set of one stratum, with dropout."""


def configuration(data, out, words):
    """Without what only the sampled objective knows, when it is another one."""
    known = [w for w in tiny_words(data, out) if not (w.startswith("objective.") and any("in_batch" in x for x in words))]
    return load([], [*known, "evaluation.chunk_rows=16", *words])


def train_all(rank, size, cases, data, out):
    if size > 1:
        act_as_rank(rank, size)
    for name, words in cases.items():
        chosen = "stratified" if name.endswith("accumulate") or size == 1 else "stratified_ddp"
        training.train(configuration(data, out / name, [*trained_by(chosen), *words]))


def train_quick(rank, size, data, single, out):
    train_all(rank, size, QUICK, data, out)
    for name, words in ONE_STRATUM.items():
        training.train(configuration(single, out / "single" / name, words))


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory) -> dict[int, Path]:
    """W -> the folder of its runs."""
    out = {size: tmp_path_factory.mktemp(f"runs-{size}") for size in (1, 2)}
    single = tmp_path_factory.mktemp("single")
    write_dataset(single, random_users([90], num_items=30, longest=8), num_items=30)
    train_quick(0, 1, data, single, out[1])
    spawn(train_quick, 2, out[2] / "store", 2, data, single, out[2], timeout=240)
    return out


@pytest.fixture(scope="module")
def slow_runs(data, tmp_path_factory) -> dict[int, Path]:
    """The same for the slow suite."""
    out = {size: tmp_path_factory.mktemp(f"slow-{size}") for size in (1, 2)}
    train_all(0, 1, SLOW, data, out[1])
    spawn(train_all, 2, out[2] / "store", 2, SLOW, data, out[2], timeout=240)
    return out


def losses(run):
    return column(run, "train/loss")


def refuse_differences(one, two):
    """Losses of 30 steps and what came of them."""
    assert len(losses(one)) == len(losses(two)) and losses(one)[0] != losses(one)[-1]
    assert losses(two)[:30] == pytest.approx(losses(one)[:30], rel=1e-4)
    for stratum in range(3):
        key = f"train/loss/{stratum}"
        assert column(two, key)[:30] == pytest.approx(column(one, key)[:30], rel=1e-3)
    assert checkpoint(two)["StreamDataModule"] == checkpoint(one)["StreamDataModule"]
    for weight, expected in zip(checkpoint(two)["state_dict"].values(), checkpoint(one)["state_dict"].values(), strict=True):
        assert (weight - expected).abs().max() < 1e-3


@pytest.mark.parametrize("name", QUICK)
def test_two_processes_train_like_one(runs, name):
    assert len(losses(runs[1] / name / "r")) == (8 if name.startswith(("in-batch", "touched")) else 32)
    refuse_differences(*(runs[size] / name / "r" for size in (1, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_two_processes_train_like_one_in_every_way(slow_runs, name):
    refuse_differences(*(slow_runs[size] / name / "r" for size in (1, 2)))


@pytest.mark.parametrize("pair", [("linear", "linear-weighted"), ("in-batch-retained", "in-batch-weighted")], ids=lambda p: p[0])
def test_modes_and_sources_train_alike(runs, pair):
    for size in (1, 2):
        refuse_differences(*(runs[size] / name / "r" for name in pair))


@pytest.mark.slow
def test_replay_trains_like_per_stratum(slow_runs):
    for size in (1, 2):
        refuse_differences(*(slow_runs[size] / name / "r" for name in ("gram", "gram-replay")))


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("more", ["", "-accumulate"], ids=["plain", "accumulate"])
def test_one_stratum_in_one_weighted_pass_is_joint_training_bit_for_bit(runs, size, more):
    joint, weighted = (checkpoint(runs[size] / "single" / f"{name}{more}" / "r") for name in ("joint", "weighted"))
    for key in ("global_step", "state_dict", "optimizer_states", "lr_schedulers", "StreamDataModule"):
        assert same(weighted[key], joint[key]), key
    assert joint["global_step"] == 12
    a, b = (losses(runs[size] / "single" / f"{name}{more}" / "r") for name in ("joint", "weighted"))
    assert a == b


@pytest.mark.slow
@pytest.mark.parametrize("rule", [LINEAR, GRAM], ids=["linear", "gram"])
@pytest.mark.parametrize("strategy", ["stratified", "stratified_ddp"])
def test_torchrun_trains_like_one_process(data, slow_runs, runs, tmp_path, rule, strategy):
    ltrec("train", *tiny_words(data, tmp_path, *THIRTY, *trained_by(strategy), *rule), processes=2)
    alone = runs[1] / "linear" / "r" if rule is LINEAR else slow_runs[1] / "gram" / "r"
    refuse_differences(alone, tmp_path / "r")


def test_strata_cannot_be_split_from_in_batch_negatives(data, tmp_path):
    words = ["gradients.name=stratified", "gradients.source=split", *IN_BATCH]
    with pytest.raises(UserError, match=r"^source split runs strata alone, .*; use retained or auto$"):
        training.train(configuration(data, tmp_path, words))
