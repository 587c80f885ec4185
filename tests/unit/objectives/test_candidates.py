"""Scores of scattered items against the plain gather, and their gradients against autograd's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from ltrec.objectives import candidates
from ltrec.objectives.candidates import candidate_logits, item_logits


def problem(examples, per_example, items=9, width=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    states = torch.randn(examples, width, generator=g, dtype=torch.float64, requires_grad=True)
    table = torch.randn(items + 1, width, generator=g, dtype=torch.float64, requires_grad=True)
    return states, table, torch.randint(1, items + 1, (examples, per_example), generator=g)


@settings(max_examples=25)
@given(st.integers(0, 12), st.integers(1, 20), st.integers(0, 100))
def test_logits_and_gradients_equal_the_plain_gather(examples, per_example, seed):
    states, table, items = problem(examples, per_example, seed=seed)
    fast, slow = item_logits(states, table, items), (table[items] * states[:, None]).sum(2)
    assert_close(fast, slow)
    weights = torch.randn_like(slow)
    for a, b in zip(
        torch.autograd.grad((fast * weights).sum(), (states, table)),
        torch.autograd.grad((slow * weights).sum(), (states, table)),
        strict=True,
    ):
        assert_close(a, b)


@pytest.mark.parametrize("budget", [1, 500, 10**6])
def test_block_size_changes_nothing(budget, monkeypatch):
    states, table, items = problem(11, 6)
    monkeypatch.setattr(candidates, "GATHER_BYTES", budget)
    assert_close(item_logits(states, table, items), (table[items] * states[:, None]).sum(2))


def test_gradcheck():
    states, table, items = problem(4, 3, items=4)
    assert torch.autograd.gradcheck(lambda s, t: item_logits(s, t, items), (states, table))


def test_hits_are_left_out():
    states, table, _ = problem(5, 1)
    targets, negatives = torch.tensor([1, 2, 3, 2, 9]), torch.tensor([2, 5, 2, 9]).expand(5, 4)
    _, negative = candidate_logits(states, targets, table, negatives)
    assert torch.isneginf(negative).nonzero().tolist() == [[1, 0], [1, 2], [3, 0], [3, 2], [4, 3]]
