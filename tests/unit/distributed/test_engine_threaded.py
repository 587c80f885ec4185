"""The threaded process group does what the engine's proofs lean on: right sums, no silence, no hang, nothing left behind."""

import time

import pytest
import torch
import torch.distributed as dist

from ltrec.distributed.collectives import all_gather_single, reduce_scatter_single
from tests.support.threaded import on_ranks, threaded_or_skip

pytestmark = threaded_or_skip
WORLDS = [1, 2, 3, 4]


def every_collective(rank, world, asynchronous):
    """Each collective on float64, as (name -> what this rank holds afterwards)."""
    mine = torch.arange(2 * world, dtype=torch.float64) + 10.0 * rank

    def wait(work):
        return work.wait() if asynchronous else None

    total = mine.clone()
    wait(dist.all_reduce(total, async_op=asynchronous))
    shard = torch.empty(2, dtype=torch.float64)
    wait(reduce_scatter_single(shard, mine, async_op=asynchronous))
    whole = torch.empty(2 * world, dtype=torch.float64)
    wait(all_gather_single(whole, shard, async_op=asynchronous))
    sent = mine.clone()
    wait(dist.broadcast(sent, src=world - 1, async_op=asynchronous))
    return {"input": mine, "all_reduce": total, "shard": shard, "all_gather": whole, "broadcast": sent}


@pytest.mark.parametrize("world", WORLDS[1:])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_collectives_in_float64(world, asynchronous):
    base = torch.arange(2 * world, dtype=torch.float64)
    total = base * world + 10.0 * sum(range(world))
    for rank, seen in enumerate(on_ranks(world, every_collective, world, asynchronous)):
        assert torch.equal(seen["input"], base + 10.0 * rank), "inputs stay as they are"
        assert torch.equal(seen["all_reduce"], total)
        assert torch.equal(seen["shard"], total[2 * rank : 2 * rank + 2])
        assert torch.equal(seen["all_gather"], total)
        assert torch.equal(seen["broadcast"], base + 10.0 * (world - 1))


def test_a_world_of_one_has_no_process_group():
    assert on_ranks(1, lambda rank: (rank, dist.is_initialized())) == [(0, False)]


def gradients(rank):
    weight = torch.full((3,), 1.0 + rank, dtype=torch.float64, requires_grad=True)
    (weight**2).sum().backward()
    dist.all_reduce(weight.grad)
    return weight.grad.tolist()


def test_autograd_in_every_thread():
    assert on_ranks(3, gradients) == [[2.0 * (1 + 2 + 3)] * 3] * 3


def fails_on_the_last(rank, world):
    if rank == world - 1:
        raise ValueError("boom")
    dist.all_reduce(torch.ones(1))


@pytest.mark.parametrize("world", WORLDS)
def test_one_failing_rank_wakes_the_others_and_is_told(world):
    start = time.monotonic()
    with pytest.raises((AssertionError, ValueError), match="boom"):
        on_ranks(world, fails_on_the_last, world)
    assert time.monotonic() - start < 20, "the others must not wait for the timeout"


def leaves_early(rank):
    if rank == 0:
        dist.all_reduce(torch.ones(1))


def test_a_rank_that_never_comes_is_an_error_not_a_hang():
    with pytest.raises(AssertionError, match=r"ranks \[0\] of 2 hang"):
        on_ranks(2, leaves_early, timeout=0.3)


def disagree(rank):
    mine = torch.ones(1)
    dist.all_reduce(mine) if rank else dist.broadcast(mine, src=0)


def test_different_collectives_meeting_is_an_error():
    with pytest.raises(AssertionError, match="ranks disagree"):
        on_ranks(2, disagree)


@pytest.mark.parametrize("broken", [fails_on_the_last, lambda rank, world: None])
def test_nothing_is_left_behind(broken):
    multithreaded = torch.autograd.is_multithreading_enabled()
    try:
        on_ranks(2, broken, 2)
    except AssertionError as error:
        assert "boom" in str(error)
    assert not dist.is_initialized() and torch.autograd.is_multithreading_enabled() == multithreaded
    assert on_ranks(2, gradients) == [[6.0] * 3] * 2, "the next world works"
