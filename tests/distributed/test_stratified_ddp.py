"""Strategy `stratified_ddp` in two gloo processes equals the definition in one, in float64; ranks stay equal to the last bit.

One pair of processes runs all cases; the tests then look at what it brought back.
"""

from dataclasses import replace

import pytest

from tests.support.closeness import assert_close, assert_same
from tests.support.lightning_toy import Case, train
from tests.support.naive_training import naive_train
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.stratified_cases import EQUAL, WAYS, tolerance

RELABELLED = {f"{name}-relabelled": replace(case, order=(2, 0, 1), plugins=case.mode != "replay") for name, case in WAYS.items()}
RERANKED = {f"{name}-reranked": replace(case, ranks=(1, 0), plugins=case.mode != "replay") for name, case in WAYS.items()}
AS_THEY_WERE = {name: replace(case, plugins=case.mode != "replay") for name, case in WAYS.items()}
MORE = RELABELLED | RERANKED | AS_THEY_WERE
CORRUPTED = Case(rule="upgrad", corrupt=3, check_every=2)


def run_all(rank, world, cases):
    act_as_rank(rank, world)
    return {name: train(rank, world, case) for name, case in cases.items()}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    cases = EQUAL | MORE | {"corrupted": CORRUPTED}
    return spawn(run_all, 2, tmp_path_factory.mktemp("ddp") / "store", 2, cases, timeout=240)


def check(case, each):
    """Every rank's run is the definition's, and one another's bit for bit, optimiser included."""
    expected = naive_train(case)
    for found in each:
        assert found.error is None and found.steps == case.steps
        assert found.passes < 1000, "buffers begin as rank 0's, as parameters do"
        assert_close(found.weights, expected.weights, tolerance(case))
        assert_same(found.weights, each[0].weights)
        assert found.optimizer.keys() == each[0].optimizer.keys()
        for number, state in found.optimizer.items():
            assert_same(state, each[0].optimizer[number])


@pytest.mark.parametrize("name", EQUAL)
def test_two_ranks_equal_the_definition(ranks, name):
    check(EQUAL[name], [rank[name] for rank in ranks])


@pytest.mark.parametrize("name", EQUAL)
def test_two_ranks_equal_one_device(ranks, name):
    case = EQUAL[name]
    alone = train(0, 1, replace(case, spoil=(*case.spoil[:2], 0)) if case.spoil else case)
    assert_close(ranks[0][name].weights, alone.weights, tolerance(case))
    for number, state in alone.optimizer.items():
        assert_close(ranks[1][name].optimizer[number], state, 10 * tolerance(case))


THREE = {name: replace(case, parts=3) for name, case in EQUAL.items()}


@pytest.fixture(scope="module")
def three_ranks(tmp_path_factory):
    return spawn(run_all, 3, tmp_path_factory.mktemp("ddp3") / "store", 3, THREE, timeout=280)


@pytest.mark.slow
@pytest.mark.parametrize("name", THREE)
def test_three_ranks_equal_the_definition(three_ranks, name):
    """The layout is padded; the rank that lacks a stratum is the middle one."""
    check(THREE[name], [rank[name] for rank in three_ranks])


@pytest.mark.parametrize("name", WAYS)
def test_names_of_strata_and_ranks_do_not_matter(ranks, name):
    expected = ranks[0][name].weights
    assert_close(ranks[0][f"{name}-reranked"].weights, expected, 1e-9)
    relabelled = ranks[0][f"{name}-relabelled"].weights
    back = {f"plugins.{z}": relabelled[f"plugins.{to}"] for z, to in enumerate((2, 0, 1)) if "plugins.0" in expected}
    assert_close(relabelled | back, expected, 1e-9)


def test_a_corrupted_rank_is_found(ranks):
    first, second = (rank["corrupted"].error for rank in ranks)
    assert first == second
    assert first.startswith("the ranks differ after step 4: parameter toy.")
    assert "(all agreed after step 2)" in first and "\n" not in first
