"""The adjusted gradient: with a real gradient it is IPW, ERM where it must be, blind to labels; PIN's cumulation is not."""

from __future__ import annotations

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.causal.backdoor import Hajek, cumulative_weights
from ltrec.causal.prior import prior_of
from ltrec.core.errors import UserError
from ltrec.core.sumcount import SumCount

WIDTH = 3
SEEDS = st.integers(0, 10**6)


def some_examples(seed, strata, examples=24):
    """A parameter, features, labels and strata of a tiny regression; some strata may be empty."""
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(examples, WIDTH, dtype=torch.float64, generator=draw)
    labels = torch.randn(examples, dtype=torch.float64, generator=draw)
    stratum = torch.randint(strata, (examples,), generator=draw)
    prior = torch.rand(strata, dtype=torch.float64, generator=draw) + 0.05
    return torch.zeros(WIDTH, dtype=torch.float64, requires_grad=True), features, labels, stratum, prior / prior.sum()


def losses(theta, features, labels):
    return (features @ theta - labels).square()


def gradient(scalar, theta):
    return torch.autograd.grad(scalar, theta)[0]


def mean_gradients(theta, features, labels, stratum, strata):
    """G_z by K passes; 0 for an empty stratum."""
    rows = [
        gradient(losses(theta, features[stratum == z], labels[stratum == z]).mean(), theta)
        if (stratum == z).any()
        else torch.zeros(WIDTH, dtype=torch.float64)
        for z in range(strata)
    ]
    return torch.stack(rows)


def counts_of(stratum, strata):
    return torch.bincount(stratum, minlength=strata)


def coefficients(weights, counts):
    """c_z = w_z / N_z, what the loss of each example counts; 0 for an empty stratum."""
    return torch.where(counts > 0, weights / counts, 0.0)


def hajek(prior, empty="renormalize"):
    return Hajek(prior, torch.ones_like(prior), empty)


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 10))
def test_weighted_means_are_one_backward_pass_of_ipw(seed, strata):
    theta, features, labels, stratum, prior = some_examples(seed, strata)
    counts = counts_of(stratum, strata)
    weights = hajek(prior)(counts)
    by_strata = weights @ mean_gradients(theta, features, labels, stratum, strata)
    weighted = (coefficients(weights, counts)[stratum] * losses(theta, features, labels)).sum()
    assert torch.allclose(gradient(weighted, theta), by_strata, atol=1e-12)


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 10))
def test_the_share_of_examples_as_prior_is_the_ordinary_gradient(seed, strata):
    theta, features, labels, stratum, _ = some_examples(seed, strata)
    counts = counts_of(stratum, strata)
    weights = hajek(prior_of("explicit", counts, counts, shares=counts.double() / counts.sum()))(counts)
    plain = gradient(losses(theta, features, labels).mean(), theta)
    assert torch.allclose(weights @ mean_gradients(theta, features, labels, stratum, strata), plain, atol=1e-12)
    there = counts > 0
    assert coefficients(weights, counts)[there].tolist() == pytest.approx([1 / 24] * int(there.sum()), rel=1e-12)


def test_one_stratum_is_the_ordinary_gradient():
    theta, features, labels, stratum, prior = some_examples(0, 1)
    assert hajek(prior)(counts_of(stratum, 1)).tolist() == [1.0]
    expected = gradient(losses(theta, features, labels).mean(), theta)
    assert torch.allclose(mean_gradients(theta, features, labels, stratum, 1)[0], expected)


@settings(max_examples=25)
@given(SEEDS, st.integers(2, 10), st.randoms(use_true_random=False))
def test_relabelling_strata_changes_nothing(seed, strata, random):
    theta, features, labels, stratum, prior = some_examples(seed, strata)
    new = torch.tensor(random.sample(range(strata), strata))
    moved = torch.empty_like(prior).index_copy(0, new, prior)
    for policy in ("renormalize", "drop"):
        before = hajek(prior, policy)(counts_of(stratum, strata)) @ mean_gradients(theta, features, labels, stratum, strata)
        after = hajek(moved, policy)(counts_of(new[stratum], strata)) @ mean_gradients(
            theta, features, labels, new[stratum], strata
        )
        assert torch.allclose(before, after, atol=1e-12)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0.01, 1.0), st.integers(1, 50)), min_size=1, max_size=6), st.integers(1, 5))
def test_merging_strata_whose_counts_are_in_proportion_to_their_prior(strata, times):
    """A twin with `times` the prior and `times` the count of stratum 0 may as well be part of it."""
    shares, counts = zip(*strata, strict=True)
    split = torch.tensor([*shares, times * shares[0]], dtype=torch.float64)
    merged = torch.tensor([(1 + times) * shares[0], *shares[1:]], dtype=torch.float64)
    split_counts, merged_counts = torch.tensor([*counts, times * counts[0]]), torch.tensor([(1 + times) * counts[0], *counts[1:]])
    apart = coefficients(hajek(split / split.sum())(split_counts), split_counts)
    whole = coefficients(hajek(merged / merged.sum())(merged_counts), merged_counts)
    assert torch.allclose(apart[:-1], whole, rtol=1e-10)
    assert apart[-1].item() == pytest.approx(whole[0].item(), rel=1e-10)


def test_a_mean_of_per_rank_means_is_another_quantity():
    theta, features, labels, stratum, prior = some_examples(4, 3)
    global_counts = counts_of(stratum, 3)
    right = hajek(prior)(global_counts) @ mean_gradients(theta, features, labels, stratum, 3)
    halves = []
    for part in (slice(0, 7), slice(7, 24)):
        rows = mean_gradients(theta, features[part], labels[part], stratum[part], 3)
        halves.append(hajek(prior)(counts_of(stratum[part], 3)) @ rows)
    assert (torch.stack(halves).mean(0) - right).norm() > 0.05 * right.norm()
    sums = [SumCount.of(losses(theta, features[p], labels[p]), stratum[p], 3) for p in (slice(0, 7), slice(7, 24))]
    total = sums[0] + sums[1]
    assert torch.equal(total.count_K, global_counts)
    assert torch.allclose(gradient((coefficients(hajek(prior)(total.count_K), total.count_K) * total.sum_K).sum(), theta), right)


def release_gradient(theta, features, labels, stratum, strata):
    """PIN's public loop: gradients are not zeroed between groups, absent groups are skipped, all rows are averaged."""
    theta = theta.detach().requires_grad_()
    memory = torch.zeros(strata, WIDTH, dtype=torch.float64)
    for z in range(strata):
        if (stratum == z).any():
            losses(theta, features[stratum == z], labels[stratum == z]).mean().backward()
            memory[z] = theta.grad
    return memory.mean(0)


@pytest.mark.parametrize("absent", [None, 0, 2, 4])
def test_cumulative_weights_are_what_the_release_computes(absent):
    theta, features, labels, stratum, _ = some_examples(1, 5)
    if absent is not None:
        stratum[stratum == absent] = (absent + 1) % 5
    counts = counts_of(stratum, 5)
    present = hajek(torch.full([5], 0.2, dtype=torch.float64), "drop")(counts)
    ours = cumulative_weights(present) @ mean_gradients(theta, features, labels, stratum, 5)
    theirs = release_gradient(theta, features, labels, stratum, 5)
    assert torch.allclose(ours / ours.norm(), theirs / theirs.norm(), atol=1e-12)
    intended = hajek(torch.full([5], 0.2, dtype=torch.float64))(counts) @ mean_gradients(theta, features, labels, stratum, 5)
    assert torch.nn.functional.cosine_similarity(intended, theirs, dim=0) < 0.99


def test_cumulative_weights_of_five_groups():
    expected = torch.tensor([1, 0.8, 0.6, 0.4, 0.2], dtype=torch.float64) / 3
    assert torch.allclose(cumulative_weights(torch.full([5], 0.2, dtype=torch.float64)), expected)
    assert cumulative_weights(torch.zeros(2)).tolist() == [0.0, 0.0]


@settings(max_examples=50)
@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=10))
def test_cumulative_weights_depend_on_the_labels(shares):
    prior = torch.tensor(shares, dtype=torch.float64)
    weights, mirrored = cumulative_weights(prior), cumulative_weights(prior.flip(0))
    assert weights.sum().item() == pytest.approx(1.0)
    assert (weights.diff() < 0).all(), "the lower the label, the more it counts, whatever the prior"
    assert not torch.allclose(mirrored.flip(0), weights)


@pytest.mark.parametrize("empty", ["inverse_presence", "error"])
def test_a_share_of_a_stratum_that_never_comes_is_refused(empty):
    prior, presence = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([1.0, 0.0, 0.4])
    with pytest.raises(UserError, match=rf"`empty`={empty}: the prior gives stratum 1 a share, but training never draws it"):
        Hajek(prior, presence, empty)
    assert Hajek(torch.tensor([0.5, 0.0, 0.5]), presence, empty)(torch.tensor([1, 0, 1])).sum() > 0


def test_travels_to_other_processes():
    rule = hajek(torch.tensor([0.25, 0.75], dtype=torch.float64), "drop")
    assert pickle.loads(pickle.dumps(rule))(torch.tensor([1, 0])).tolist() == [0.25, 0.0]
