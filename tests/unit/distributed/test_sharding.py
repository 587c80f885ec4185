"""A sharded module begins as rank 0's, computes as before, and never waits for a rank that runs something else."""

import torch
from torch.distributed.device_mesh import init_device_mesh

from ltrec.distributed.collectives import Collectives
from ltrec.distributed.fsdp2.sharded_module import ShardedModule, local
from tests.support.threaded import on_ranks, threaded_or_skip
from tests.support.toy_stage import ToyStage
from tests.support.windows import crowded

pytestmark = threaded_or_skip
WINDOW = crowded(3, 3, 1)


def make(rank, **options):
    collectives = Collectives()
    mesh = init_device_mesh("cpu", (collectives.world.size,))
    return ShardedModule(ToyStage(3, seed=rank, **options), mesh, collectives, ["losses"]), collectives


def losses(rank):
    sharded, _ = make(rank)
    with torch.no_grad():
        return sharded.module.losses(WINDOW.batches(rank)[0]).loss_N


def test_all_ranks_compute_with_rank_0_s_parameters():
    for rank, found in enumerate(on_ranks(3, losses)):
        assert torch.equal(found, ToyStage(3, seed=0).losses(WINDOW.batches(rank)[0]).loss_N)


def uneven_calls(rank):
    """Rank 0 runs three forward passes, the others one: nothing is gathered after the first."""
    sharded, collectives = make(rank)
    with torch.no_grad():
        for _ in range(3 if rank == 0 else 1):
            sharded.module.losses(WINDOW.batches(rank)[0])
    calls = dict(collectives.calls)
    sharded.reshard()
    return calls, sum(local(p.detach()).numel() for p in sharded.module.parameters())


def test_ranks_may_run_different_numbers_of_passes():
    found = on_ranks(3, uneven_calls)
    assert all(calls["all_gather"] == 1 for calls, _ in found)
    assert sum(held for _, held in found) == sum(p.numel() for p in ToyStage(3).parameters())


def some_have_nothing(rank):
    """Only rank 1 has a loss; everyone else takes part with zeros."""
    sharded, _ = make(0)
    loss = sharded.module.losses(WINDOW.batches(1)[0]).loss_N.sum() if rank == 1 else None
    shards, pending = sharded.backward_aside(loss, retain_graph=False)
    pending.wait()
    return [None if s is None else s.clone() for s in shards]


def test_a_rank_without_a_loss_adds_zeros():
    stage = ToyStage(3, seed=0)
    stage.losses(WINDOW.batches(1)[0]).loss_N.sum().backward()
    by_rank = on_ranks(3, some_have_nothing)
    for place, (name, parameter) in enumerate(stage.named_parameters()):
        shards = [found[place] for found in by_rank]
        if not parameter.requires_grad:
            assert shards == [None] * 3
            continue
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(torch.cat(shards), expected, rtol=1e-12, atol=1e-12, msg=name)


def sums_late(rank):
    """Two passes of which only the last one sums."""
    sharded, collectives = make(0)
    batch = WINDOW.batches(rank)[0]
    for last in (False, True):
        sharded.sum_next(last)
        sharded.module.losses(batch).loss_N.sum().backward()
    sharded.reshard()
    return collectives.calls["reduce_scatter"], [local(p.grad) for _, p in sharded.parameters if p.requires_grad]


def test_passes_may_be_summed_over_ranks_once():
    stage = ToyStage(3, seed=0)
    for batch in WINDOW.all_batches():
        (2 * stage.losses(batch).loss_N.sum()).backward()
    by_rank = on_ranks(3, sums_late)
    assert [calls for calls, _ in by_rank] == [1, 1, 1]
    for place, (name, parameter) in enumerate((n, p) for n, p in stage.named_parameters() if p.requires_grad):
        found = torch.cat([shards[place] for _, shards in by_rank])
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12, msg=name)
