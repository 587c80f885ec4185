"""The equality suite on GPUs: one device, and as many NCCL ranks as there are GPUs, equal the definition computed on the CPU."""

from dataclasses import replace

import pytest
import torch

from tests.support.aligned_cases import CASES
from tests.support.closeness import assert_close, assert_same, largest_difference
from tests.support.lightning_toy import train
from tests.support.naive_alignment import naive_aligned_train
from tests.support.naive_training import naive_train
from tests.support.ranks import act_as_rank
from tests.support.spawn import spawn
from tests.support.stratified_cases import EQUAL, NOT_EMPTY, WAYS, tolerance

WORLD = torch.cuda.device_count()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")]
BACKEND = "cpu:gloo,cuda:nccl"  # decisions travel over gloo, gradients over NCCL


def on(world, case):
    """The case dealt to so many ranks; what spoils a loss does so on the last of them."""
    dealt = replace(case, parts=max(world, 2))
    return replace(dealt, spoil=(*case.spoil[:2], world - 1)) if case.spoil else dealt


def run_all(rank, world, accelerator, cases):
    act_as_rank(rank, world)
    return {name: train(rank, world, case, accelerator=accelerator) for name, case in cases.items()}


def check(case, each):
    expected = naive_train(case)
    for found in each:
        assert found.error is None and found.steps == case.steps
        assert_close(found.weights, expected.weights, 10 * tolerance(case))
        assert_same(found.weights, each[0].weights)


@pytest.mark.parametrize("name", EQUAL)
def test_one_gpu_equals_the_definition(name):
    case = on(1, EQUAL[name])
    check(case, [train(0, 1, case, accelerator="gpu")])


@pytest.mark.parametrize("name", CASES)
def test_one_gpu_equals_the_definition_of_alignment(name):
    case, total = CASES[name]
    case = replace(case, spoil=(*case.spoil[:2], 0)) if case.spoil else case
    found = train(0, 1, case, accelerator="gpu")
    assert found.error is None and found.steps == case.steps
    assert_close(found.weights, naive_aligned_train(case, total), 10 * tolerance(case))


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    cases = {name: on(WORLD, case) for name, case in EQUAL.items()}
    return spawn(run_all, WORLD, tmp_path_factory.mktemp("gpu") / "store", WORLD, "gpu", cases, timeout=280, backend=BACKEND)


@pytest.mark.skipif(WORLD < 2, reason="one GPU is one rank")
@pytest.mark.parametrize("name", EQUAL)
def test_all_gpus_equal_the_definition(ranks, name):
    check(on(WORLD, EQUAL[name]), [rank[name] for rank in ranks])


@pytest.mark.parametrize("name", WAYS)
def test_float16_under_a_scaler_is_near_float32(name):
    case = on(1, replace(WAYS[name], dtype=torch.float32, scale=2.0**8, holes=NOT_EMPTY, optimizer="sgd"))
    exact, half = (train(0, 1, replace(case, half=half), accelerator="gpu") for half in (False, True))
    assert half.error is None and half.scale == 2.0**8
    assert 1e-6 < largest_difference(half.weights, exact.weights) < 1e-2
