"""Horvitz-Thompson: unbiased where the others are known not to be, and additive over any split of the window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.causal.backdoor import Hajek
from ltrec.causal.horvitz_thompson import HorvitzThompson
from ltrec.causal.presence import presence
from ltrec.core.errors import UserError

PRIOR = torch.tensor([0.5, 0.4, 0.1], dtype=torch.float64)
ROWS = torch.tensor([8000, 1900, 100])
DRAWN = 64
GRADIENT = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
"""One-dimensional mean gradients of the strata, the same in every window: only which strata come is random."""
TARGET = (PRIOR @ GRADIENT).item()


def estimates(windows, weights_of):
    """w . G of every window."""
    return torch.stack([weights_of(counts) @ GRADIENT for counts in windows])


def estimators():
    there = presence(ROWS, DRAWN)
    named = {name: Hajek(PRIOR, there, name) for name in ("renormalize", "drop", "inverse_presence")}
    return {**named, "horvitz_thompson": HorvitzThompson(PRIOR, ROWS.double() * DRAWN / ROWS.sum())}


@pytest.fixture(scope="module")
def drawn_windows():
    draws = np.random.default_rng(7).multivariate_hypergeometric(ROWS.tolist(), DRAWN, size=20_000)
    return list(torch.from_numpy(draws))


def absent_bias():
    """Exact biases of `renormalize` and `drop`; strata 0 and 1 are practically always there."""
    missing = 1 - presence(ROWS, DRAWN)[2].item()
    rest = (PRIOR[:2] @ GRADIENT[:2]).item()
    return {"renormalize": missing * (rest / 0.9 - TARGET), "drop": -missing * 0.1 * 5.0}


def test_biases_are_the_known_ones(drawn_windows):
    """Three standard errors of 20,000 windows are at most .014."""
    found = {name: estimates(drawn_windows, weights_of) for name, weights_of in estimators().items()}
    bias = {name: value.mean().item() - TARGET for name, value in found.items()}
    error = {name: value.std().item() / len(drawn_windows) ** 0.5 for name, value in found.items()}
    for name in ("horvitz_thompson", "inverse_presence"):
        assert abs(bias[name]) < 3 * error[name] < 0.02
    for name, expected in absent_bias().items():
        assert expected < -0.18
        assert abs(bias[name] - expected) < 3 * error[name]
    spread = {name: value.std().item() for name, value in found.items()}
    assert spread["renormalize"] < spread["drop"] < spread["inverse_presence"] < spread["horvitz_thompson"]


def test_renormalizing_leans_towards_the_common_strata(drawn_windows):
    weights = {name: torch.stack([f(counts) for counts in drawn_windows]).mean(0) for name, f in estimators().items()}
    assert (weights["renormalize"][:2] > PRIOR[:2] * 1.04).all()
    assert weights["renormalize"][2] < PRIOR[2] * 0.6
    assert torch.allclose(weights["drop"][:2], PRIOR[:2], atol=1e-3)
    assert weights["drop"][2] < PRIOR[2] * 0.6
    assert torch.allclose(weights["horvitz_thompson"], PRIOR, rtol=0.03)
    assert torch.allclose(weights["inverse_presence"], PRIOR, rtol=0.03)


def test_unbiased_though_users_differ_in_length_and_gradient():
    """Windows are runs of shuffled passes over users with many or few targets; over whole passes the average is exact."""
    draw = np.random.default_rng(3)
    stratum, targets = np.repeat([0, 1, 2], [11, 6, 1]), draw.integers(1, 9, 18)
    of_user = [draw.normal(size=(n, 2)) for n in targets]  # gradients of a user's targets
    sums, totals = np.array([g.sum(0) for g in of_user]), np.bincount(stratum, targets)
    wanted = PRIOR.numpy() @ np.array([sums[stratum == z].sum(0) / totals[z] for z in range(3)])
    order, size = np.concatenate([draw.permutation(18) for _ in range(5)]), 5
    rule = HorvitzThompson(PRIOR, torch.from_numpy(totals * size / 18))
    average = {"horvitz_thompson": np.zeros(2), "renormalize": np.zeros(2)}
    for window in order.reshape(-1, size):
        counts = torch.from_numpy(np.bincount(stratum[window], targets[window], minlength=3))
        of = {"horvitz_thompson": rule(counts), "renormalize": Hajek(PRIOR, torch.ones(3))(counts)}
        for name, weights in of.items():
            c = torch.where(counts > 0, weights / counts, 0.0).numpy()
            average[name] += (c[stratum[window], None] * sums[window]).sum(0) / (order.size / size)
    assert average["horvitz_thompson"] == pytest.approx(wanted, abs=1e-12)
    assert abs(average["renormalize"] - wanted).max() > 0.05


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 8))
def test_additive_over_micro_batches_and_ranks(seed, strata, parts):
    """Each part weighs its own sums with constants; no part needs to know another's counts. With realised counts it fails."""
    draw = torch.Generator().manual_seed(seed)
    stratum, part = torch.randint(strata, (40,), generator=draw), torch.randint(parts, (40,), generator=draw)
    grads = torch.randn(40, 3, dtype=torch.float64, generator=draw)
    prior = torch.full([strata], 1 / strata, dtype=torch.float64)
    rule = HorvitzThompson(prior, torch.rand(strata, dtype=torch.float64, generator=draw) + 0.5)

    def gradient(rows):
        """As an engine forms it: weights of this set's counts times its mean gradients."""
        counts = torch.bincount(stratum[rows], minlength=strata)
        sums = torch.zeros(strata, 3, dtype=torch.float64).index_add(0, stratum[rows], grads[rows])
        return rule(counts) @ (sums / counts.clamp(min=1)[:, None])

    whole = gradient(torch.arange(40))
    assert torch.allclose(sum(gradient(torch.nonzero(part == p).flatten()) for p in range(parts)), whole, atol=1e-10)
    assert torch.allclose(rule.coefficients_K[stratum] @ grads, whole, atol=1e-10)


def test_means_over_realised_counts_are_not_additive():
    rule, counts = Hajek(PRIOR, torch.ones(3)), torch.tensor([3, 2, 1])
    of_half, of_whole = rule(counts) / counts, rule(2 * counts) / (2 * counts)
    assert torch.allclose(of_half, 2 * of_whole), "two halves, added, would count every example twice"


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.1, 50.0)), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_relabelling_and_expected_counts(strata, random):
    share, expected = (torch.tensor(column, dtype=torch.float64) for column in zip(*strata, strict=True))
    rule = HorvitzThompson(share, expected)
    assert torch.allclose(rule(expected), share), "on the expected counts it is the prior"
    order = random.sample(range(len(share)), len(share))
    assert torch.equal(HorvitzThompson(share[order], expected[order]).coefficients_K, rule.coefficients_K[order])


def test_a_stratum_that_is_never_drawn():
    expected = torch.tensor([4.0, 0.0])
    with pytest.raises(
        UserError, match=r"horvitz_thompson: the prior gives stratum 1 a share, but training never draws it; use `estimator`=hajek"
    ):
        HorvitzThompson(torch.tensor([0.5, 0.5]), expected)
    assert HorvitzThompson(torch.tensor([1.0, 0.0]), expected)(torch.tensor([8, 0])).tolist() == [2.0, 0.0]
