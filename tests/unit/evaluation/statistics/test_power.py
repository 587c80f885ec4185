from dataclasses import replace
from math import inf, sqrt

import numpy as np
import pytest

from ltrec.evaluation.comparison.compare import p_not_above_zero
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.statistics.power import MOST_SEEDS, seeds_needed, smallest_effect, student_quantile, users_needed
from ltrec.evaluation.statistics.seeds import Variances, resampled, variances


def drawn(num_seeds: int, num_users: int, effect: float, users: float, seeds: float, noise: float, start: int = 0) -> np.ndarray:
    draw = np.random.default_rng(start)
    parts = effect + draw.normal(0, users, num_users) + draw.normal(0, seeds, num_seeds)[:, None]
    return parts + draw.normal(0, noise, (num_seeds, num_users))


@pytest.mark.parametrize(
    ("p", "df", "table"),
    [
        (0.95, 1, 6.3138),
        (0.95, 2, 2.9200),
        (0.975, 2, 4.3027),
        (0.99, 4, 3.7469),
        (0.95, 30, 1.6973),
        (0.8, 2, 1.0607),
        (0.05, 3, -2.3534),
        (0.95, 10_000, 1.6450),
        (0.95, 10**6, 1.6449),
    ],
)
def test_quantiles_of_student_are_those_of_the_tables(p, df, table):
    assert student_quantile(p, df) == pytest.approx(table, abs=2e-4)


def test_textbook_sample_size():
    """Users only, effect of 0.2 standard deviations, one-sided 5 %, power 80 %: (1.645 + 0.842)^2 / 0.04 = 154.6."""
    change_N = np.tile([-1.0, 1.0], 5000) + 0.2
    assert users_needed(np.stack([change_N] * 3), 0.05) == 155


def test_textbook_sample_size_of_seeds():
    """Seeds only: (t_.95 + t_.8) / sqrt(S) standard deviations are 3.98 / 1.73 = 2.30 for three, 3.33 / 2 = 1.67 for four."""
    found = Variances(users=0, seeds=1, noise=0)
    assert smallest_effect(found, 10, 3, 0.05) == pytest.approx((2.920 + 1.061) / sqrt(3), abs=1e-3)
    change = np.repeat(np.array([[-1.0], [0.0], [1.0]]), 10, axis=1)
    assert seeds_needed(change + 2.2, 0.05) == 4
    assert seeds_needed(change + 2.4, 0.05) == 3


@pytest.mark.parametrize(("num_seeds", "num_users", "spread"), [(3, 400, (0.1, 0.005, 0.15)), (5, 400, (0.0, 0.01, 0.15))])
def test_the_gate_finds_the_smallest_effect_four_times_in_five(num_seeds, num_users, spread):
    effect = smallest_effect(Variances(*(s**2 for s in spread)), num_users, num_seeds, 0.05)
    config = EvaluationConfig(bootstrap_samples=300)
    users = np.ones(num_users, bool)
    tried = (drawn(num_seeds, num_users, effect, *spread, start=i) for i in range(600))
    found = [p_not_above_zero(resampled(value_SN, users, replace(config, seed=i))) < 0.05 for i, value_SN in enumerate(tried)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.06)


def test_nothing_to_find_needs_no_number():
    assert users_needed(np.zeros((3, 50)), 0.05) is None
    assert seeds_needed(np.zeros((3, 50)), 0.05) is None
    assert users_needed(np.ones((3, 1)), 0.05) is None


def test_one_seed_says_nothing_about_the_variance_of_seeds():
    change = drawn(1, 500, 0.1, 1, 0, 0)
    assert users_needed(change, 0.05) is None and seeds_needed(change, 0.05) is None


def test_unrealistic_numbers_of_seeds_are_not_given():
    change = np.repeat(np.array([[-1.0], [0.0], [1.0]]), 10, axis=1)
    enough = (1.6449 + 0.8416) / sqrt(MOST_SEEDS)  # so many degrees of freedom are nearly normal
    assert 900 < seeds_needed(change + 1.02 * enough, 0.05) <= MOST_SEEDS
    assert seeds_needed(change + 0.98 * enough, 0.05) is None


def test_a_sharper_test_needs_more():
    change = drawn(3, 500, 0.1, 1, 0, 0.1)
    assert users_needed(change, 0.01) > users_needed(change, 0.05)
    found = variances(change)
    assert smallest_effect(found, 500, 3, 0.05, power=0.9) > smallest_effect(found, 500, 3, 0.05, power=0.8)


def test_the_answer_is_enough_and_one_less_is_not():
    change = drawn(4, 300, 0.03, 0.2, 0.02, 0.5, start=3)
    found, effect = variances(change), abs(float(change.mean()))
    for needed, at in (
        (users_needed(change, 0.05), lambda n: smallest_effect(found, n, 4, 0.05)),
        (seeds_needed(change, 0.05), lambda s: smallest_effect(found, 300, s, 0.05)),
    ):
        assert needed is not None
        assert at(needed) <= effect < (at(needed - 1) if needed > 2 else inf)


def test_more_of_one_does_not_replace_the_other():
    change = drawn(3, 100, 0.0, 1, 0.001, 0.001)
    assert seeds_needed(change - change.mean() + 0.05, 0.05) is None  # users differ too much for so few of them
    change = drawn(3, 100, 0.0, 0.001, 1, 0.001)
    assert users_needed(change - change.mean() + 0.05, 0.05) is None  # and here the seeds
