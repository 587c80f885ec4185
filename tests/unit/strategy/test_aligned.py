"""Mode aligned under a real Trainer equals the definition; what it reports, and what it refuses."""

from dataclasses import replace

import pytest
import torch

from ltrec.distributed.alignment.config import AlignmentConfig
from ltrec.distributed.strategies import MODES
from ltrec.strategy import STRATEGIES
from tests.support.aligned_cases import CASES, tolerance
from tests.support.closeness import assert_close, assert_same
from tests.support.lightning_toy import Case, strategy_of, train
from tests.support.naive_alignment import naive_aligned_train

USERS = CASES["users"][0]


@pytest.mark.parametrize("name", CASES)
def test_a_run_equals_the_definition(name):
    case, total = CASES[name]
    case = replace(case, spoil=(*case.spoil[:2], 0)) if case.spoil else case
    found = train(0, 1, case)
    assert found.error is None and found.steps == case.steps
    assert_close(found.weights, naive_aligned_train(case, total), tolerance(case))


def test_reports_hold_counts_and_no_weights():
    found = train(0, 1, replace(USERS, steps=2))
    for step, report in enumerate(found.log.reports):
        counts_K = sum(batch.stratum_of_position().bincount(minlength=3) for batch in USERS.window(step).all_batches())
        assert (report.step, report.counts_K.tolist()) == (step, counts_K.tolist())
        assert report.weights_K.isnan().all() and report.gram_KK is None and report.norms_K is None


def test_hooks_fire_once_whatever_the_number_of_tasks():
    log = train(0, 1, replace(CASES["users-accumulate"][0], steps=2)).log
    assert log.events == [*["before_backward", "after_backward"] * 2, "before_step"] * 2


@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_a_bad_number_stops_or_skips(policy):
    found = train(0, 1, replace(USERS, nonfinite=policy, spoil=(2, 1, 0)))
    if policy == "stop":
        assert found.error.startswith("training diverged: ") and "after step 3" in found.error and found.steps == 2
        return
    assert found.error is None
    assert [report is None for report in found.log.reports] == [False, False, True, False, False, False]
    assert torch.equal(found.log.after[2], found.log.after[1]), "no update, no decay, no momentum"


def test_one_inner_step_is_unmoved_by_its_rate():
    """Nobody asks where the last step leads, so it is not made."""
    one, other = (train(0, 1, replace(USERS, alignment=AlignmentConfig(inner_steps=1, inner_lr=a))) for a in (1e-3, 1e3))
    assert_same(one.weights, other.weights)


def test_only_strategies_with_whole_parameters_have_the_mode():
    assert [name for name, info in STRATEGIES.items() if "aligned" in info.modes] == [
        "stratified",
        "stratified_ddp",
    ]
    assert MODES[-1] == "aligned", "auto takes the first that fits"


REFUSED = {
    "coupled": (
        replace(USERS, couples_rows=True),
        "mode aligned runs tasks alone, but this model or loss couples the rows",
    ),
    "scaler": (replace(USERS, scale=2.0), "mode aligned is not possible in precision 16-mixed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_trainer_refuses_before_the_first_batch(name):
    case, message = REFUSED[name]
    found = train(0, 1, case)
    assert found.error is not None and found.error.startswith(message) and "\n" not in found.error
    assert found.log.events == [] and found.steps == 0


def test_numbers_that_do_not_fit_are_refused_with_the_first_batch():
    case = replace(USERS, alignment=AlignmentConfig(inner_steps=5))
    found = train(0, 1, case)
    assert found.error.startswith("`batch_rows`=36 cannot be distributed over `trajectories`=0 (7)") and found.steps == 0


def test_the_line_for_people():
    told = []
    for alignment in (AlignmentConfig(), AlignmentConfig(trajectories=6), AlignmentConfig(tasks="stratum", inner_lr=0.5)):
        strategy = strategy_of(replace(USERS, alignment=alignment), 1)
        train(0, 1, replace(USERS, steps=1, alignment=alignment), strategy)
        told.append(strategy.describe())
    assert told == [
        "gradients aligned over 2 users: stratified, inner rate 0.1, one user a task",
        "gradients aligned over 2 users: stratified, inner rate 0.1, 6 chains",
        "gradients aligned over strata: stratified, inner rate 0.5, one chain",
    ]


def test_with_plugins_awake_it_is_per_stratum():
    case = Case(mode="aligned", plugins=True, rule="upgrad", holes=())
    aligned, expected = train(0, 1, case), train(0, 1, replace(case, mode="per_stratum"))
    assert_same(aligned.weights, expected.weights)
    assert all(report.gram_KK is not None for report in aligned.log.reports)
