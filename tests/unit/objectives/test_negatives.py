"""Draws: the right distribution, and a pure function of (seed, step, example)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from ltrec.core.errors import UserError
from ltrec.core.hashing import mix_tensor
from ltrec.objectives import Draw
from ltrec.objectives.negatives import (
    PopularityProposal,
    UniformProposal,
    make_proposal,
    negatives_per_example,
    negatives_per_step,
)

COUNT = torch.tensor([0, 40, 0, 20, 9, 1, 30])


def frequencies(proposal, draws=200_000):
    items = proposal.items(mix_tensor(3, torch.arange(draws)))
    return torch.bincount(items, minlength=COUNT.numel()) / draws


@pytest.mark.parametrize("proposal", [UniformProposal(COUNT), PopularityProposal(COUNT, 1.0), PopularityProposal(COUNT, 0.5)])
def test_draws_follow_the_stated_probabilities(proposal):
    stated = proposal.log_prob(torch.arange(1, 7)).exp()
    drawn = frequencies(proposal)
    assert drawn[0] == 0
    never = (COUNT[1:] == 0) & isinstance(proposal, PopularityProposal)
    assert not drawn[1:][never].any()
    assert_close(drawn[1:][~never], stated[~never], rtol=0, atol=0.005)
    assert_close(stated[~never].sum().item(), 1.0)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=40).filter(any), st.floats(0, 2))
def test_the_alias_table_gives_back_its_distribution(counts, alpha):
    proposal = PopularityProposal(torch.tensor([0, *counts]), alpha)
    weights = torch.tensor([c**alpha if c else 0.0 for c in counts], dtype=torch.float64)
    share = proposal.stay / len(counts)
    total = share.index_add(0, proposal.other, (1 - proposal.stay) / len(counts))
    assert_close(total, weights / weights.sum(), rtol=0, atol=1e-12)


def test_an_example_has_the_same_negatives_in_any_batch():
    proposal, key = UniformProposal(COUNT), torch.tensor([5, -7, 2**62, 0])
    whole = negatives_per_example(proposal, Draw(1, 2, key), 50)
    order = torch.tensor([2, 0, 3])
    assert torch.equal(negatives_per_example(proposal, Draw(1, 2, key[order]), 50), whole[order])
    assert torch.equal(negatives_per_example(proposal, Draw(1, 2, key), 20), whole[:, :20])
    assert whole.unique(dim=0).shape[0] == 4


@pytest.mark.parametrize("draw", [negatives_per_example, negatives_per_step])
def test_seed_and_step_change_the_draw(draw):
    proposal, key = UniformProposal(torch.ones(1001)), torch.arange(3)
    base = draw(proposal, Draw(1, 2, key), 30)
    assert torch.equal(base, draw(proposal, Draw(1, 2, key), 30))
    for other in (Draw(2, 2, key), Draw(1, 3, key), Draw(2, 1, key)):
        assert (draw(proposal, other, 30) == base).float().mean() < 0.1


def test_shared_draws_do_not_depend_on_the_examples():
    proposal = UniformProposal(COUNT)
    one = negatives_per_step(proposal, Draw(1, 2, torch.arange(3)), 30)
    assert one.shape == (30,)
    assert torch.equal(one, negatives_per_step(proposal, Draw(1, 2, torch.arange(100, 105)), 30))


def test_neighbouring_examples_draw_independently():
    draws = negatives_per_example(UniformProposal(torch.ones(3)), Draw(0, 0, torch.arange(400)), 400).double()
    assert torch.corrcoef(draws).fill_diagonal_(0).abs().max() < 0.3  # 6 sigma; two equal rows would give 1


def test_unknown_proposals_are_refused():
    with pytest.raises(UserError, match=r"`proposal`='popular' is unknown \(did you mean 'popularity'\?\)"):
        make_proposal("popular", COUNT, 1.0)
