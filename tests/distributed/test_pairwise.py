"""The reduce-scatter between pairs: the sum, exactly; several under way; empty shards; every world."""

import pytest
import torch

from ltrec.distributed.collectives import Collectives
from ltrec.distributed.pairwise import PairwiseReduceScatter, gloo_on_cpu
from tests.support.spawn import spawn


def whole_of(rank, size, number, dtype):
    """Small whole numbers: every order of adding gives the same."""
    return torch.arange(size * 3 * number).add(7 * rank).to(dtype) * (rank + 1)


def scattered(rank, size):
    assert gloo_on_cpu()
    collectives, found = Collectives(), []
    for dtype in (torch.float32, torch.float64):
        under_way = []
        for number in (1, 1000, 0, 4):  # begun before the first is waited for
            whole, shard = whole_of(rank, size, number, dtype), torch.full((3 * number,), torch.nan, dtype=dtype)
            pending = collectives.reduce_scatter(shard, whole)
            assert isinstance(pending, PairwiseReduceScatter)
            under_way.append((pending, shard, whole))
        for pending, _, _ in under_way[::-1]:
            pending.wait()
            pending.wait()
        found += [shard for _, shard, _ in under_way]
    return found, dict(collectives.calls), dict(collectives.sent)


@pytest.mark.parametrize("size", [2, 3])
def test_it_is_the_sum(size, tmp_path):
    for rank, (found, calls, sent) in enumerate(spawn(scattered, size, tmp_path / "store", size)):
        expected = []
        for dtype in (torch.float32, torch.float64):
            for number in (1, 1000, 0, 4):
                total = sum(whole_of(other, size, number, dtype) for other in range(size))
                expected.append(total[rank * 3 * number : (rank + 1) * 3 * number])
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(found, expected, strict=True))
        assert calls == {"reduce_scatter": 8} and sent == {"reduce_scatter": 3 * 1005 * (4 + 8) * (size - 1)}


def test_alone_there_is_no_gloo():
    assert not gloo_on_cpu()
