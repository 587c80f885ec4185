"""Group DRO and streaming DRO against the papers' update rules, and what becomes of strata that are not there."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.core.sumcount import SumCount
from tests.support.rules import build, ones, random_prior

NAMES = ["group_dro", "streaming_dro"]


def losses(means, counts=None):
    counts_K = torch.ones(len(means), dtype=torch.float64) if counts is None else torch.tensor(counts, dtype=torch.float64)
    return SumCount(torch.tensor(means, dtype=torch.float64) * counts_K, counts_K)


def steps(num_strata, count, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [(5 + 3 * torch.randn(num_strata, generator=draw, dtype=torch.float64)).tolist() for _ in range(count)]


def test_group_dro_is_the_papers_update_one_step_late():
    rule, q = build("group_dro", random_prior(3, 0), eta=0.2), torch.ones(3, dtype=torch.float64) / 3
    for means in steps(3, 40):
        torch.testing.assert_close(rule.weights(ones(3)), q, rtol=1e-12, atol=0)
        rule.observe(losses(means))
        q = q * (0.2 * torch.tensor(means, dtype=torch.float64)).exp()
        q = q / q.sum()


def test_streaming_dro_is_the_papers_update_one_step_late():
    rule, q, mean = build("streaming_dro", random_prior(3, 0), eta=0.2, rho=0.3), torch.ones(3, dtype=torch.float64) / 3, None
    for means in steps(3, 40):
        torch.testing.assert_close(rule.weights(ones(3)), q, rtol=1e-12, atol=0)
        rule.observe(losses(means))
        new = torch.tensor(means, dtype=torch.float64)
        mean = new if mean is None else 0.7 * mean + 0.3 * new
        q = q * (0.2 * mean).exp()
        q = q / q.sum()


def test_streaming_dro_without_a_memory_is_group_dro():
    group, stream = build("group_dro", random_prior(4, 0)), build("streaming_dro", random_prior(4, 0), rho=1.0)
    for means in steps(4, 20):
        group.observe(losses(means))
        stream.observe(losses(means))
    torch.testing.assert_close(stream.weights(ones(4)), group.weights(ones(4)), rtol=1e-12, atol=0)


def test_an_absent_stratum_keeps_its_share_where_a_loss_of_zero_would_cost_it():
    rule = build("group_dro", random_prior(3, 0), eta=0.5)
    rule.observe(losses([1.0, 2.0, 3.0]))
    before = rule.weights(ones(3))
    rule.observe(losses([4.0, 5.0, 0.0], [1, 1, 0]))
    after = rule.weights(ones(3))
    assert after[2].item() == pytest.approx(before[2].item(), rel=1e-12)
    assert (after[1] / after[0]).item() == pytest.approx((before[1] / before[0] * torch.tensor(0.5).exp()).item())
    zero = build("group_dro", random_prior(3, 0), eta=0.5)
    zero.observe(losses([1.0, 2.0, 3.0]))
    zero.observe(losses([4.0, 5.0, 0.0]))
    assert zero.weights(ones(3))[2] < 0.5 * before[2]


def test_under_streaming_dro_an_absent_stratum_counts_with_its_running_mean():
    """Its mean stays; one that was never met keeps its share."""
    rule = build("streaming_dro", random_prior(3, 0), eta=0.5, rho=0.5)
    rule.observe(losses([2.0, 2.0, 0.0], [1, 1, 0]))
    assert rule.weights(ones(3)).tolist() == pytest.approx([1 / 3] * 3)
    rule.observe(losses([4.0, 0.0, 0.0], [1, 0, 0]))  # running means 3 and 2
    weights = rule.weights(ones(3))
    assert (weights[0] / weights[1]).item() == pytest.approx(torch.tensor(0.5).exp().item())
    assert weights[2].item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_stratum_of_this_window_gets_nothing_and_the_others_keep_their_proportions(name):
    rule = build(name, random_prior(3, 0), eta=0.3)
    rule.observe(losses([3.0, 1.0, 2.0]))
    full, part = rule.weights(ones(3)), rule.weights(torch.tensor([4, 0, 4]))
    assert part[1] == 0
    torch.testing.assert_close(part[[0, 2]], full[[0, 2]] / full[[0, 2]].sum(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20)
@given(eta=st.floats(0, 5), seed=st.integers(0, 999), count=st.integers(1, 300))
def test_weights_stay_a_distribution_however_long_one_stratum_has_been_worst(name, eta, seed, count):
    rule = build(name, random_prior(4, 0), eta=eta)
    for means in steps(4, count, seed):
        rule.observe(losses([*means[:3], 50.0]))
    for counts in (ones(4), torch.tensor([1, 1, 1, 0])):
        weights = rule.weights(counts)
        assert (weights >= 0).all()
        assert weights.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("name", NAMES)
def test_the_worst_stratum_gains(name):
    rule = build(name, random_prior(3, 0), eta=0.1)
    for _ in range(10):
        rule.observe(losses([1.0, 1.2, 1.1]))
    assert rule.weights(ones(3)).argsort().tolist() == [0, 2, 1]


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_that_is_no_number_never_enters_the_state(name):
    rule = build(name, random_prior(2, 0))
    with pytest.raises(AssertionError, match="stopped or skipped"):
        rule.observe(losses([1.0, float("nan")]))
    assert rule.weights(ones(2)).tolist() == [0.5, 0.5]
