"""Rivals on two processes like on one: an example may be a user, and the worst share is that of all ranks together."""

from __future__ import annotations

from pathlib import Path

import pytest

import ltrec.run.train as training
from benchmarks.harness.conf_methods import FILES
from ltrec.config.load import load
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, column, tiny_data, tiny_words

COMMON = [
    "model.dropout=0",
    "objective.name=softmax",
    "trainer.log_every_steps=1",
    "trainer.checkpoint_every_steps=0",
    "trainer.max_epochs=3",
    "trainer.validate_every_epochs=3",
    "optim.eps=1e-3",
]
"""A larger eps keeps Adam from blowing up rounding."""
STRATIFIED = ["gradients.name=stratified"]
RUNS = {
    "per-user-mean": [],
    "per-user-mean, pieces": ["trainer.accumulate=3"],
    "per-user-mean, by stratum": STRATIFIED,
    "per-user-mean, weighted pieces": [*STRATIFIED, "gradients.mode=weighted", "trainer.accumulate=2"],
    "ipw": ["stream.unit=user"],
    "cvar-dro": [],
    "cvar-dro, retained": STRATIFIED,
    "cvar-dro, weighted": [*STRATIFIED, "gradients.mode=weighted"],
    "tail-only": [],
}
"""Method, with what is changed about it -> words."""


def train_all(rank: int, size: int, data: Path, out: Path) -> None:
    if size > 1:
        act_as_rank(rank, size)
    for name, words in RUNS.items():
        known = [word for word in tiny_words(data, out / name) if not word.startswith("objective.")]
        method = FILES[name.split(",")[0]][0]
        training.train(load([method], [*known, *COMMON, *words]))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """W -> the folder of its runs."""
    data = tiny_data(tmp_path_factory.mktemp("data"))
    out = {size: tmp_path_factory.mktemp(f"runs-{size}") for size in (1, 2)}
    train_all(0, 1, data, out[1])
    spawn(train_all, 2, out[2] / "store", 2, data, out[2], timeout=240)
    return out


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_train_like_one(runs: dict[int, Path], name: str) -> None:
    one, two = (runs[size] / name / "r" for size in (1, 2))
    expected = column(one, "train/loss")
    assert len(expected) >= 9
    assert column(two, "train/loss") == pytest.approx(expected, rel=1e-5)
    mine, theirs = (checkpoint(run) for run in (two, one))
    assert mine["StreamDataModule"] == theirs["StreamDataModule"]
    for key, weight in theirs["state_dict"].items():
        assert (mine["state_dict"][key] - weight).abs().max() < 1e-4, key


@pytest.mark.parametrize("name", ["per-user-mean, pieces", "per-user-mean, weighted pieces"])
def test_pieces_are_one_step(runs: dict[int, Path], name: str) -> None:
    whole = {"per-user-mean, pieces": "per-user-mean", "per-user-mean, weighted pieces": "per-user-mean, by stratum"}[name]
    for out in runs.values():
        expected = column(out / whole / "r", "train/loss")
        assert column(out / name / "r", "train/loss") == pytest.approx(expected, rel=1e-5)


def test_one_stratum_or_none_the_worst_are_the_same(runs: dict[int, Path]) -> None:
    """The first loss is before any update: CVaR of the batch, whether its gradient is then formed by stratum or not."""
    first = [column(runs[1] / name / "r", "train/loss")[0] for name in ("cvar-dro", "cvar-dro, retained", "cvar-dro, weighted")]
    assert first == pytest.approx([first[0]] * 3, rel=1e-6)


def test_throughput_is_counted_in_what_an_example_is(runs: dict[int, Path]) -> None:
    keys = {name: (runs[1] / name / "r" / "metrics.jsonl").read_text() for name in ("per-user-mean", "cvar-dro")}
    assert "throughput/users_per_s" in keys["per-user-mean"] and "targets_per_s" not in keys["per-user-mean"]
    assert "throughput/targets_per_s" in keys["cvar-dro"] and "users_per_s" not in keys["cvar-dro"]
