"""Empty strata: every policy's weights by hand, and what holds for any counts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.causal.empty import EMPTY_POLICIES
from ltrec.core.errors import UserError


def f64(*values):
    return torch.tensor(values, dtype=torch.float64)


@st.composite
def windows(draw, least=0):
    """(prior_K, counts_K, presence_K) of K strata, all with a share."""
    strata = draw(st.integers(1, 10))
    each = st.lists(st.floats(0.01, 1.0), min_size=strata, max_size=strata)
    prior = f64(*draw(each))
    counts = draw(st.lists(st.integers(least, 5), min_size=strata, max_size=strata))
    return prior / prior.sum(), torch.tensor(counts), f64(*draw(each))


def test_by_hand():
    prior, counts, presence = f64(0.5, 0.3, 0.2), torch.tensor([10, 0, 2]), f64(1.0, 0.8, 0.4)
    expected = {"renormalize": [0.5 / 0.7, 0, 0.2 / 0.7], "drop": [0.5, 0, 0.2], "inverse_presence": [0.5, 0, 0.5]}
    assert {name: EMPTY_POLICIES[name](prior, counts, presence).tolist() for name in expected} == {
        name: pytest.approx(weights) for name, weights in expected.items()
    }
    assert EMPTY_POLICIES["error"](prior, counts.clamp(min=1), presence).tolist() == [0.5, 0.3, 0.2]


@settings(max_examples=60)
@given(windows(), st.sampled_from(["renormalize", "drop", "inverse_presence"]), st.randoms(use_true_random=False))
def test_absent_strata_get_nothing_and_labels_mean_nothing(window, name, random):
    policy, (prior, counts, presence) = EMPTY_POLICIES[name], window
    weights = policy(prior, counts, presence)
    assert weights.dtype == torch.float64
    assert torch.equal(weights > 0, counts > 0)
    order = random.sample(range(len(prior)), len(prior))
    assert torch.allclose(policy(prior[order], counts[order], presence[order]), weights[order], rtol=1e-12)


@settings(max_examples=60)
@given(windows())
def test_renormalized_weights_sum_to_one_in_the_prior_s_proportions(window):
    prior, counts, _ = window
    weights = EMPTY_POLICIES["renormalize"](*window)
    assert weights.sum().item() == pytest.approx(float(counts.sum() > 0), abs=1e-12)
    there = counts > 0
    assert torch.allclose(weights[there] * prior[there].sum(), prior[there], rtol=1e-12)


@settings(max_examples=30)
@given(windows(least=1))
def test_with_all_strata_there_the_weights_are_the_prior(window):
    prior, counts, _ = window
    for name in ("renormalize", "drop", "error"):
        assert torch.allclose(EMPTY_POLICIES[name](*window), prior, rtol=1e-12)
    assert torch.equal(EMPTY_POLICIES["inverse_presence"](prior, counts, torch.ones_like(prior)), prior)


@pytest.mark.parametrize("name", ["renormalize", "drop", "inverse_presence"])
def test_no_example_or_no_share_gives_no_weight_and_no_nan(name):
    policy, prior = EMPTY_POLICIES[name], f64(1.0, 0.0)
    assert policy(prior, torch.tensor([0, 0]), f64(1.0, 0.0)).tolist() == [0.0, 0.0]
    assert policy(prior, torch.tensor([0, 3]), f64(1.0, 0.5)).tolist() == [0.0, 0.0]


def test_error_names_the_missing_and_the_way_out():
    prior, one = f64(0.5, 0.2, 0.2, 0.1, 0.0), torch.ones(5)
    with pytest.raises(UserError, match=r"no example of stratum 1, 3 in .* set `composition`=quota, raise `batch_rows`"):
        EMPTY_POLICIES["error"](prior, torch.tensor([4, 0, 1, 0, 0]), one)
    assert EMPTY_POLICIES["error"](prior, torch.tensor([4, 1, 1, 1, 0]), one).tolist() == prior.tolist()
