"""What gram.py does before and after a method, and what must hold for every Gram rule."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.aggregation import RULES
from ltrec.aggregation.gram import OnPresent
from tests.support.rules import build, ones, random_prior, random_rows, uniform

GRAM = [name for name in RULES if RULES[name].kind == "gram"]
SCALE_FREE = [name for name in GRAM if name != "dot_attention"]


def answering(raw, prior=(0.5, 0.3, 0.2)):
    """A rule whose method always answers `raw`."""
    prior_K = torch.tensor(prior, dtype=torch.float64)
    return OnPresent(lambda gram, p, key: None if raw is None else torch.tensor(raw).double(), lambda counts: prior_K)


@pytest.mark.parametrize(
    "raw",
    [None, [0.0, 0.0, 0.0], [1.0, -2.0, 0.5], [1.0, -1.0, 1e-6], [1.0, float("nan"), 1.0], [1.0, float("inf"), 1.0], [1e308] * 3],
)
def test_an_answer_that_cannot_be_scaled_to_one_is_replaced_by_the_prior_and_counted(raw):
    rule = answering(raw)
    assert rule.weights(torch.eye(3).double(), ones(3), 0).tolist() == [0.5, 0.3, 0.2]
    assert rule.state_dict() == {"fallbacks": 1}


def test_a_negative_weight_is_no_failure():
    rule = answering([2.0, -0.5, 0.5])
    assert rule.weights(torch.eye(3).double(), ones(3), 0).tolist() == [1.0, -0.25, 0.25]
    assert rule.fallbacks == 0


def test_one_stratum_alone_is_nothing_to_ask_about():
    rule = answering(None, prior=(0.0, 0.6, 0.0))
    assert rule.weights(torch.eye(3).double(), torch.tensor([0, 4, 2]), 0).tolist() == [0.0, 0.6, 0.0]
    assert rule.fallbacks == 0


def test_the_method_sees_the_present_strata_only():
    seen = []

    def solve(gram, prior, key):
        seen.append((gram, prior, key))
        return torch.tensor([3.0, 1.0], dtype=torch.float64)

    prior_K = torch.tensor([0.6, 0.0, 0.2], dtype=torch.float64)
    gram_KK = torch.tensor([[4.0, torch.nan, 1], [torch.nan, torch.nan, torch.nan], [1, torch.nan, 2]], dtype=torch.float64)
    weights = OnPresent(solve, lambda counts: prior_K).weights(gram_KK, torch.tensor([5, 0, 5]), 77)
    [(gram, prior, key)] = seen
    assert gram.tolist() == [[4, 1], [1, 2]]
    assert prior.tolist() == pytest.approx([0.75, 0.25])
    assert key == 77
    assert weights.tolist() == pytest.approx([0.6, 0, 0.2])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_no_number_is_not_the_rules_business(bad):
    gram_KK = torch.eye(3, dtype=torch.float64)
    gram_KK[0, 1] = gram_KK[1, 0] = bad
    with pytest.raises(AssertionError, match="not finite"):
        build("pcgrad", uniform(3)).weights(gram_KK, ones(3), 0)


@pytest.mark.parametrize("name", GRAM)
def test_when_all_gradients_are_zero_the_weights_are_the_priors(name):
    prior_K = random_prior(4, 3)
    rule = build(name, prior_K)
    torch.testing.assert_close(rule.weights(torch.zeros(4, 4).double(), ones(4), 0), prior_K, rtol=1e-12, atol=0)
    assert rule.fallbacks == 0


@pytest.mark.parametrize("name", GRAM)
@settings(max_examples=10)
@given(num_strata=st.integers(2, 7), seed=st.integers(0, 9999))
def test_identical_gradients_are_a_fixed_point(name, num_strata, seed):
    """The update is that gradient; nothing is subtracted, nothing fails."""
    row_N = random_rows(1, 20, seed)
    rows_KN = row_N.expand(num_strata, -1)
    rule = build(name, random_prior(num_strata, seed))
    weights = rule.weights(rows_KN @ rows_KN.T, ones(num_strata), seed)
    torch.testing.assert_close(weights @ rows_KN, row_N[0], rtol=1e-9, atol=1e-12)
    assert (weights > -1e-9).all()
    assert rule.fallbacks == 0


@pytest.mark.parametrize("name", SCALE_FREE)
@pytest.mark.parametrize("scale", [1e-6, 1e3, 1e-30, 2.0**20])
def test_weights_do_not_depend_on_the_unit_of_the_loss(name, scale):
    """TorchJD's tolerances are absolute: unnormalised, gradients of 1e-6 count as zero there."""
    for seed in range(4):
        rows_KN, prior_K = random_rows(5, 40, seed, common=0.1), random_prior(5, seed)
        before = build(name, prior_K).weights(rows_KN @ rows_KN.T, ones(5), 9)
        scaled_KN = scale * rows_KN
        after = build(name, prior_K).weights(scaled_KN @ scaled_KN.T, ones(5), 9)
        torch.testing.assert_close(after, before, rtol=0, atol=1e-7)


def test_dot_attention_is_the_one_that_does():
    rows_KN = random_rows(3, 20, 0)
    one, ten = (build("dot_attention", uniform(3)).weights(s * rows_KN @ rows_KN.T, ones(3), 0) for s in (1.0, 10.0))
    assert not torch.allclose(one, ten, atol=1e-3)


@pytest.mark.parametrize("name", [name for name in GRAM if build(name, uniform(2)).smooth])
def test_a_smooth_rule_answers_a_rounding_error_with_a_rounding_error(name):
    """Strategies that sum in another order must take nearly the same step."""
    for seed in range(6):
        rows_KN, prior_K = random_rows(5, 60, seed, common=0.1 * seed), random_prior(5, seed)
        noise_KN = torch.randn(5, 60, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        nearby_KN = rows_KN * (1 + 1e-7 * noise_KN)
        before = build(name, prior_K).weights(rows_KN @ rows_KN.T, ones(5), 4)
        after = build(name, prior_K).weights(nearby_KN @ nearby_KN.T, ones(5), 4)
        torch.testing.assert_close(after, before, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", GRAM)
def test_neither_depends_on_the_global_generator_nor_touches_it(name):
    """A rank's generator has seen its own dropout; a decision that leaned on it would differ between ranks and after a resume."""
    rows_KN = random_rows(6, 12, 1, common=0.0)
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(build(name, uniform(6)).weights(rows_KN @ rows_KN.T, ones(6), 2**64 - 1))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*found)
