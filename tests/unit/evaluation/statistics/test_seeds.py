from dataclasses import replace
from math import sqrt
from statistics import NormalDist

import numpy as np
import pytest

from ltrec.evaluation.comparison.compare import p_not_above_zero
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.statistics.bootstrap import key_of, resampled_means, value_classes
from ltrec.evaluation.statistics.seeds import resampled, variances

MANY = EvaluationConfig(bootstrap_samples=40_000)
FEW = EvaluationConfig(bootstrap_samples=400)


def everybody(value_SN: np.ndarray, config: EvaluationConfig) -> np.ndarray:
    return resampled(value_SN, np.ones(value_SN.shape[1], bool), config)


def drawn(draw: np.random.Generator, num_seeds: int, num_users: int, users: float, seeds: float, noise: float) -> np.ndarray:
    """Values of the two-way model around 0, from the standard deviations of its three parts."""
    parts = draw.normal(0, users, num_users) + draw.normal(0, seeds, num_seeds)[:, None]
    return parts + draw.normal(0, noise, (num_seeds, num_users))


def rejected(num_seeds: int, num_users: int, *spread: float, trials: int, effect: float = 0.0) -> float:
    """Share of experiments in which a gain is seen at the level of 5 %."""
    draw = np.random.default_rng(num_seeds * num_users)
    values = (drawn(draw, num_seeds, num_users, *spread) + effect for _ in range(trials))
    return sum(p_not_above_zero(everybody(v, replace(FEW, seed=i))) < 0.05 for i, v in enumerate(values)) / trials


def naive_variances(value_SN: np.ndarray) -> tuple[float, float, float]:
    """From mean squares, as a textbook's table of the two-way analysis of variance has it."""
    (s, n), grand = value_SN.shape, value_SN.mean()
    of_users = s * sum((value_SN[:, u].mean() - grand) ** 2 for u in range(n)) / (n - 1)
    of_seeds = n * sum((value_SN[i].mean() - grand) ** 2 for i in range(s)) / (s - 1)
    total = sum((value_SN[i, u] - grand) ** 2 for i in range(s) for u in range(n))
    noise = (total - of_users * (n - 1) - of_seeds * (s - 1)) / ((s - 1) * (n - 1))
    return (of_users - noise) / s, (of_seeds - noise) / n, noise


def test_components_are_those_of_the_textbook():
    value_SN = drawn(np.random.default_rng(0), 4, 30, 0.5, 0.6, 0.3)
    found = variances(value_SN)
    assert (found.users, found.seeds, found.noise) == pytest.approx(naive_variances(value_SN))


def test_components_are_found_again_and_never_negative():
    found = variances(drawn(np.random.default_rng(1), 500, 1000, 0.2, 0.1, 0.5))
    assert (found.users, found.seeds, found.noise) == pytest.approx((0.04, 0.01, 0.25), rel=0.15)
    rest = np.array([[1.0, -1.0], [-1.0, 1.0]])  # noise only: both other estimates are below 0
    assert (variances(rest).users, variances(rest).seeds, variances(rest).noise) == (0, 0, 4)


def test_one_seed_is_the_bootstrap_over_users():
    value_N = np.random.default_rng(2).normal(0, 1, 500)
    users = resampled_means(value_N[:, None], value_classes(value_N), samples=400, seed=key_of(FEW.seed, np.ones(500, bool)))[:, 0]
    assert np.array_equal(everybody(value_N[None], FEW), users)


def test_seeds_that_agree_leave_the_bootstrap_over_users():
    value_N = np.random.default_rng(3).normal(0, 1, 500)
    assert everybody(np.stack([value_N] * 3), FEW) == pytest.approx(everybody(value_N[None], FEW))


@pytest.mark.parametrize(("num_seeds", "t"), [(3, 2.9200), (5, 2.1318), (11, 1.8125)])
def test_without_users_that_differ_it_is_the_t_test_of_the_seeds(num_seeds, t):
    mean_S = np.random.default_rng(4).normal(0, 1, num_seeds)
    value_SN = np.repeat(mean_S[:, None], 50, axis=1)
    low, high = np.quantile(everybody(value_SN, MANY), [0.05, 0.95])
    half = t * mean_S.std(ddof=1) / sqrt(num_seeds)
    assert (low, high) == pytest.approx((mean_S.mean() - half, mean_S.mean() + half), abs=0.06 * half)


def test_every_variance_is_counted_once():
    """With so many seeds t is normal, and the variance of the resamples is U / n + B / S + E / (S n)."""
    num_seeds, num_users, users, seeds, noise = 60, 400, 0.5, 0.02, 1.0
    value_SN = drawn(np.random.default_rng(5), num_seeds, num_users, users, seeds, noise)
    found = variances(value_SN)
    wanted = found.users / num_users + found.seeds / num_seeds + found.noise / (num_seeds * num_users)
    assert everybody(value_SN, MANY).var() == pytest.approx(wanted, rel=0.06)


def test_a_single_user_still_has_seeds():
    assert everybody(np.array([[0.1], [0.5], [0.9]]), MANY).mean() == pytest.approx(0.5, abs=0.05)
    assert everybody(np.array([[0.1]]), FEW) == pytest.approx(0.1)


def test_between_seed_noise_is_not_taken_for_a_gain():
    """Seeds shift the mean by three errors of the users: users alone see a gain in 30 %, seeds and users in 5 %."""
    spread = (0.0, 0.015, 0.15)
    assert rejected(1, 1000, *spread, trials=200) > 0.2
    assert rejected(3, 1000, *spread, trials=400) < 0.085


@pytest.mark.slow
@pytest.mark.parametrize("num_seeds", [3, 5])
@pytest.mark.parametrize("num_users", [200, 1000, 5000])
@pytest.mark.parametrize("spread", [(0.0, 0.0, 0.15), (0.0, 0.01, 0.15), (0.25, 0.01, 0.15)])
def test_a_true_null_hypothesis_is_rejected_at_the_level_and_a_real_gain_is_found(num_seeds, num_users, spread):
    users, seeds, noise = spread
    trials = 400
    level = rejected(num_seeds, num_users, *spread, trials=trials)
    assert level < 0.05 + 3 * sqrt(0.05 * 0.95 / trials)
    error = sqrt(users**2 / num_users + seeds**2 / num_seeds + noise**2 / (num_seeds * num_users))
    ideal = 1 - NormalDist().cdf(1.645 - 4)  # of one who knows the variances
    assert rejected(num_seeds, num_users, *spread, trials=200, effect=4 * error) > (0.7 if num_seeds == 3 else 0.85) * ideal
