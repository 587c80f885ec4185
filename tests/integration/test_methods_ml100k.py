"""Every file of conf/method on MovieLens-100K, alone and on two ranks: it trains, is evaluated, and killed late it resumes exactly.

Every method trains once, undisturbed. What a kill would have left is copied out of that run on the way (tests/support/snapshots.py)
and trained to the end: one step before, at, and one after the switch where there are two stages, else a few steps after a
checkpoint. Alone, two processes train half of the methods each; on two ranks, one pair of processes trains them all, for imports
take longer than a method does.

    pytest tests/integration/test_methods_ml100k.py -k pin-frozen      trains that method only
"""

from __future__ import annotations

import json
import math
import multiprocessing as mp
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from ltrec.cli.main import main
from ltrec.config.load import load
from ltrec.config.tree import RunConfig
from ltrec.evaluation.baselines import BASELINES
from tests.support.goldens import METHODS
from tests.support.ml100k import STEPS, STEPS_PER_EPOCH, prepared_ml100k, small_config
from tests.support.ranks import act_as_rank
from tests.support.snapshots import train_watched
from tests.support.spawn import spawn
from tests.support.tiny_run import checkpoint, column, lines_of, refuse_differences, same

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SWITCH = 170
"""The first step of the second stage: in mid-epoch, and late, for all that follows is trained four times."""
KILLED = {1: [186], 2: [SWITCH - 1, SWITCH, SWITCH + 1]}
"""Stages -> steps done when the run is killed."""
SAVED = {1: 13, 2: 1}
"""Stages -> steps from checkpoint to checkpoint. 182 is a multiple of 13; around the switch every step is saved, or all three kills
would resume from the same checkpoint."""

FIRST_RUN = "pin-backbone"
"""On whose trunk a method starts that is a second stage only."""

Trained = dict[str, list[int]]
"""Run of a method -> the steps that were trained in it; `undisturbed`, or the step at which it was killed."""


def num_stages(config: RunConfig) -> int:
    return 1 if config.trained_plugin.name == "none" or is_second_run(config) else 2


def is_second_run(config: RunConfig) -> bool:
    return config.switch is not None and config.switch.by == "step" and config.switch.at == 0


def words_of(method: str, data: Path, out: Path) -> list[str]:
    """What a method is told beyond what all are told."""
    known = small_config(method, data, out)
    words = [f"trainer.checkpoint_every_steps={SAVED[num_stages(known)]}"]
    if num_stages(known) == 2:
        section = f"{known.trained_plugin_section}.switch"
        words += [f"{section}.by=step", f"{section}.at={SWITCH}"]
    if is_second_run(known):
        words.append(f"init_from={out / 'first' / 'r'}")
    if known.gradients.name == "aligned" and known.gradients.tasks == "user":
        # One user to a task, 24 chains of two, would take most of the time of this file; so these are 4 chains of two times six.
        words.append("gradients.trajectories=4")
    return words


def train(method: str, data: Path, out: Path) -> Trained:
    """All runs of a method, in folders of `out`."""
    words = words_of(method, data, out)

    def config(run: str) -> RunConfig:
        return small_config(method, data, out / run, *words)

    if is_second_run(config("undisturbed")):
        train_watched(small_config(FIRST_RUN, data, out / "first"))
    killed = KILLED[num_stages(config("undisturbed"))]
    trained = {"undisturbed": train_watched(config("undisturbed"), {step: out / str(step) / "r" for step in killed})}
    return trained | {str(step): train_watched(config(str(step))) for step in killed}


def train_alone(method: str, data: Path, out: Path) -> Trained:
    torch.set_num_threads(1)
    trained = train(method, data, out)
    assert main(["evaluate", str(out / "undisturbed" / "r")]) == 0
    return trained


def train_together(rank: int, methods: list[str], data: Path, out: Path) -> dict[str, Trained]:
    act_as_rank(rank, 2)
    trained = {}
    for method in methods:
        try:
            trained[method] = train(method, data, out / method)
        except Exception as error:
            error.add_note(f"method {method}")
            raise
    return trained


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ml-100k")
    prepared_ml100k(folder)
    return folder


@pytest.fixture(scope="module")
def chosen(request: pytest.FixtureRequest) -> list[str]:
    """The methods that the tests of this session ask for."""
    asked = {item.callspec.params["method"] for item in request.session.items if item.path == request.path}
    return [method for method in METHODS if method in asked]


@pytest.fixture(scope="module")
def alone(data: Path, chosen: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folder of the methods' runs in one process, and results to wait for: one method that fails does not fail the others."""
    out = tmp_path_factory.mktemp("alone")
    with mp.get_context("spawn").Pool(2) as pool:
        yield out, {method: pool.apply_async(train_alone, (method, data, out / method)) for method in chosen}


@pytest.fixture(scope="module")
def together(data: Path, chosen: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Trained]]:
    """Folder of the methods' runs in two processes, and what rank 0 says of them."""
    out = tmp_path_factory.mktemp("together")
    return out, spawn(train_together, 2, out / "store", chosen, data, out, timeout=1500)[0]


def whole(run: Path, key: str) -> list[float]:
    """A metric over the run; of a second run, from the beginning of the first."""
    first = run.parents[1] / "first" / "r"
    return [*(column(first, key) if first.exists() else []), *column(run, key)]


def refuse_bad_training(run: Path) -> None:
    """All steps were trained, every number is one, and the model got better, by what training measures and by what validation does.

    The loss is the method's own (CVaR's is that of the worst half, MELT's and LTP's count a second task) and is compared with
    itself: CVaR's falls by 0.8, the least of all.
    """
    assert checkpoint(run)["global_step"] == STEPS
    assert all(math.isfinite(value) for line in lines_of(run) for value in line.values())
    losses, metrics = whole(run, "train/loss"), whole(run, "val/ndcg@10")
    assert fmean(losses[-3:]) < losses[0] - 0.5
    assert len(column(run, "val/ndcg@10")) >= STEPS // STEPS_PER_EPOCH // 2 and metrics[-1] > 1.3 * metrics[0]
    own = column(run, "train/loss")
    assert len(own) == STEPS / 10 and fmean(own[-3:]) < own[0]
    assert own[0] in (losses[0], pytest.approx(losses[STEPS // 10 - 1], abs=0.3)), "a second run starts on the first's trunk"


def refuse_bad_resuming(out: Path, trained: Trained) -> None:
    """Each kill was resumed from the last checkpoint before it, only the steps after that were trained, and the end is the same."""
    good = out / "undisturbed" / "r"
    stages = num_stages(load([good / "config.yaml"], []))
    assert trained["undisturbed"] == list(range(1, STEPS + 1))
    for killed in KILLED[stages]:
        run, steps = out / str(killed) / "r", trained[str(killed)]
        assert steps == list(range(steps[0], STEPS + 1))
        twice = killed - steps[0] + 1
        assert twice == 0 if stages == 2 else 1 <= twice <= 4
        refuse_differences(run, good)
        if stages == 2:
            assert same(checkpoint(run, "stage1")["state_dict"], checkpoint(good, "stage1")["state_dict"])


def refuse_bad_evaluation(run: Path) -> None:
    """The table has head, tail and every stratum, and the model ranks better than chance, whose AUC is a half."""
    summary = json.loads((run / "eval" / "test.json").read_text())
    assert set(summary) == {"sasrec", *BASELINES}
    groups = summary["sasrec"]["groups"]
    assert set(groups) == {"all", "head", "tail", *(f"stratum={z}" for z in range(5))}
    users = {key: group["users"] for key, group in groups.items()}
    assert users["all"] == 943 == users["head"] + users["tail"] == sum(users[f"stratum={z}"] for z in range(5))
    assert all(0 < group["metrics"]["ndcg@10"]["mean"] < 1 for group in groups.values())
    assert groups["all"]["metrics"]["auc"]["mean"] > 0.7


@pytest.mark.parametrize("method", METHODS)
def test_alone_a_method_trains_is_evaluated_and_resumes_exactly(method: str, alone: tuple[Path, dict[str, Any]]) -> None:
    out, results = alone
    trained = results[method].get(timeout=1500)
    run = out / method / "undisturbed" / "r"
    refuse_bad_training(run)
    refuse_bad_evaluation(run)
    refuse_bad_resuming(out / method, trained)


@pytest.mark.parametrize("method", METHODS)
def test_on_two_ranks_a_method_trains_and_resumes_exactly(method: str, together: tuple[Path, dict[str, Trained]]) -> None:
    out, results = together
    refuse_bad_training(out / method / "undisturbed" / "r")
    refuse_bad_resuming(out / method, results[method])


@pytest.mark.parametrize("method", METHODS)
def test_two_ranks_train_on_the_same_users_as_one(method: str, alone: tuple[Path, Any], together: tuple[Path, Any]) -> None:
    """In the same order; dropout is drawn otherwise, so the losses are only alike."""
    alone[1][method].get(timeout=1500)
    one, two = (out / method / "undisturbed" / "r" for out, _ in (alone, together))
    assert checkpoint(two)["StreamDataModule"] == checkpoint(one)["StreamDataModule"]
    assert column(two, "train/loss") == pytest.approx(column(one, "train/loss"), rel=0.02)
