"""Collectives in real gloo processes agree with what one process would compute."""

import pytest
import torch

from ltrec.core.world import World
from ltrec.distributed.collectives import all_gather_ids, all_gather_parts, all_reduce_sum, current_world
from tests.support.spawn import spawn


def everything(rank):
    ids = torch.arange(rank * 3) + 100 * rank  # rank 0 has none
    mine = torch.tensor([1.0, rank])
    total = all_reduce_sum(mine)
    return current_world(), total.tolist(), mine.tolist(), all_gather_ids(ids).tolist(), all_gather_parts({"rank": rank})


@pytest.mark.parametrize("size", [2, 3])
def test_collectives(size, tmp_path):
    expected_ids = [i + 100 * r for r in range(size) for i in range(r * 3)]
    for rank, (world, total, mine, ids, parts) in enumerate(spawn(everything, size, tmp_path / "store")):
        assert world == World(rank, size)
        assert total == [size, sum(range(size))]
        assert mine == [1.0, rank], "the input must not change"
        assert ids == expected_ids
        assert parts == [{"rank": r} for r in range(size)]


def test_alone_everything_is_the_identity():
    ids = torch.tensor([3, 1])
    assert current_world() == World()
    assert all_reduce_sum(ids) is ids and all_gather_ids(ids) is ids and all_gather_parts("x") == ["x"]


def fails_on_one(rank):
    if rank == 1:
        raise ValueError("boom")


def test_a_failing_rank_is_reported(tmp_path):
    with pytest.raises(AssertionError, match="boom"):
        spawn(fails_on_one, 2, tmp_path / "store")
