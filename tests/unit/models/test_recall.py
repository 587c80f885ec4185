"""Recall: equal to the equation in loops, and a matter of each row alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltrec.models.recall import recall
from tests.support.naive_neighbours import as_matrix, recalled

V, N = 12, 4


def table(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Distinct neighbours per item, some with fewer than N."""
    draw = np.random.default_rng(seed)
    item_VN = np.stack([np.zeros(N, int), *(draw.permutation(np.arange(1, V + 1))[:N] for _ in range(V))])
    item_VN[draw.random(item_VN.shape) < 0.2] = 0
    weight_VN = np.where(item_VN > 0, draw.random(item_VN.shape), 0)
    return torch.from_numpy(item_VN.astype(np.int32)), torch.from_numpy(weight_VN.astype(np.float32))


def packed(histories: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    offsets = torch.tensor([0, *itertools.accumulate(map(len, histories))])
    return torch.tensor(list(itertools.chain(*histories)), dtype=torch.int64), offsets


histories_ = st.lists(st.lists(st.integers(1, V), max_size=9), min_size=1, max_size=6)


@given(histories_, st.integers(0, 99), st.sampled_from([0.0, 0.5, 0.85, 1.0]), st.integers(1, 7))
def test_it_is_the_equation(histories, seed, decay, last):
    item_VN, weight_VN = table(seed)
    m_BV = recall(*packed(histories), item_VN, weight_VN, decay=decay, last=last)
    naive = recalled(histories, as_matrix(item_VN.numpy(), weight_VN.numpy()), decay, last)
    assert m_BV.dtype == torch.float32
    assert m_BV.shape == (len(histories), V + 1)
    torch.testing.assert_close(m_BV, torch.from_numpy(naive).float())


@given(histories_, st.integers(0, 99))
def test_a_row_has_the_same_bits_whoever_is_beside_it(histories, seed):
    item_VN, weight_VN = table(seed)
    together = recall(*packed(histories), item_VN, weight_VN, decay=0.85, last=50)
    alone = [recall(*packed([history]), item_VN, weight_VN, decay=0.85, last=50) for history in histories]
    assert torch.equal(together, torch.cat(alone))


@given(histories_, st.integers(0, 99))
def test_memory_that_was_used_before_changes_nothing(histories, seed):
    item_VN, weight_VN = table(seed)
    used_BV = torch.full((len(histories) + 2, V + 1), 7.0)
    fresh = recall(*packed(histories), item_VN, weight_VN, decay=0.85, last=50)
    assert torch.equal(recall(*packed(histories), item_VN, weight_VN, decay=0.85, last=50, out=used_BV), fresh)


@pytest.mark.parametrize("histories", [[[]], [[], []], [[], [3], []]])
def test_histories_may_be_empty(histories):
    item_VN, weight_VN = table(0)
    m_BV = recall(*packed(histories), item_VN, weight_VN, decay=0.85, last=50)
    assert m_BV.shape == (len(histories), V + 1)
    assert [bool(row.any()) for row in m_BV] == [bool(history) for history in histories]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_an_accelerator_gives_the_same_bits_every_time():
    draw = np.random.default_rng(0)
    histories = [draw.integers(1, V + 1, draw.integers(0, 40)).tolist() for _ in range(200)]
    item_VN, weight_VN = table(0)
    here = recall(*packed(histories), item_VN, weight_VN, decay=0.85, last=50)
    asked = [tensor.cuda() for tensor in (*packed(histories), item_VN, weight_VN)]
    first, *others = (recall(*asked, decay=0.85, last=50).cpu() for _ in range(5))
    assert all(torch.equal(first, other) for other in others)
    torch.testing.assert_close(first, here)
