"""The loss among shared negatives against that among the same negatives of one's own, in blocks, and where all are hits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from ltrec.objectives import shared_softmax as module
from ltrec.objectives.candidates import candidate_logits, softmax_loss
from ltrec.objectives.shared_softmax import shared_softmax
from ltrec.objectives.workspace import Workspace

V, D = 7, 4


def problem(examples, negatives, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    states = torch.randn(examples, D, generator=g, dtype=dtype).requires_grad_()
    table = torch.randn(V + 1, D, generator=g, dtype=dtype).requires_grad_()
    offset = torch.randn(negatives, generator=g, dtype=dtype)
    return (
        states,
        torch.randint(1, V + 1, (examples,), generator=g),
        table,
        torch.randint(1, V + 1, (negatives,), generator=g),
        offset,
    )


def own(states, targets, table, negatives, offset):
    """Every example by itself."""
    target, negative = candidate_logits(states, targets, table, negatives.expand(len(states), -1))
    return softmax_loss(target, negative - (0.0 if offset is None else offset))


def check(fast, slow, states, table):
    assert_close(fast, slow)
    weights = torch.rand(len(slow), dtype=slow.dtype)
    for _ in range(2):  # a graph that is kept gives the same again
        found = torch.autograd.grad((fast * weights).sum(), (states, table), retain_graph=True)
        assert_close(found, torch.autograd.grad((slow * weights).sum(), (states, table), retain_graph=True))


@settings(max_examples=25)
@given(st.integers(0, 12), st.integers(1, 20), st.booleans(), st.integers(0, 100))
def test_it_is_the_loss_among_own_negatives(examples, negatives, corrected, seed):
    states, targets, table, shared, offset = problem(examples, negatives, seed)
    offset = offset if corrected else None
    fast = shared_softmax(states, targets, table, shared, offset, Workspace())
    check(fast, own(states, targets, table, shared, offset), states, table)


@pytest.mark.parametrize("budget", [1, 100, 10**6])
def test_blocks_change_nothing(budget, monkeypatch):
    states, targets, table, shared, offset = problem(11, 6)
    monkeypatch.setattr(module, "BLOCK_BYTES", budget)
    check(
        shared_softmax(states, targets, table, shared, offset, Workspace()),
        own(states, targets, table, shared, offset),
        states,
        table,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_where_every_negative_is_a_hit_there_is_no_loss(dtype):
    states, _, table, _, offset = problem(3, 5, dtype=dtype)
    loss = shared_softmax(states, torch.tensor([2, 1, 2]), table, torch.full((5,), 2), offset, Workspace())
    assert loss[0] == loss[2] == 0 < loss[1]
    of_states, of_table = torch.autograd.grad(loss[[0, 2]].sum(), (states, table))
    assert not of_states.any() and not of_table.any()


def test_its_matrix_is_used_again():
    workspace, (states, targets, table, shared, offset) = Workspace(), problem(9, 6)
    for _ in range(3):
        shared_softmax(states, targets, table, shared, offset, workspace).sum().backward()
    assert len(workspace._free) == 1
