from statistics import NormalDist

import numpy as np
import pytest

from ltrec.evaluation.power import largest_error, seeds_needed, users_needed


def test_textbook_sample_size():
    """Effect of 0.2 standard deviations, one-sided 5 %, power 80 %: (1.645 + 0.842)^2 / 0.04 = 154.6."""
    change = np.array([[-1.0, 1.0]]) * np.ones((1, 2))
    change = np.tile(change, 5000) + 0.2
    assert users_needed(change, 0.05) == 155


def test_that_many_users_do_find_it_four_times_in_five():
    better, worse = 0.06, 0.045
    population = np.repeat([0.0, 1.0, -1.0], [8950, 600, 450])
    needed = users_needed(population[None, :], 0.05)
    count = np.random.default_rng(0).multinomial(needed, [better, worse, 1 - better - worse], 20_000)
    mean = (count[:, 0] - count[:, 1]) / needed
    spread = np.sqrt((count[:, 0] + count[:, 1]) / needed - mean**2)
    found = mean / spread * np.sqrt(needed) > NormalDist().inv_cdf(0.95)
    assert found.mean() == pytest.approx(0.8, abs=0.015)


def test_nothing_to_find_needs_no_number():
    assert users_needed(np.zeros((1, 50)), 0.05) is None
    assert users_needed(np.ones((1, 1)), 0.05) is None
    assert seeds_needed(np.zeros((3, 50)), 0.05) is None


def test_a_sharper_test_needs_more():
    change = np.random.default_rng(1).normal(0.1, 1, (1, 500))
    assert users_needed(change, 0.01) > users_needed(change, 0.05)
    assert largest_error(0.1, 0.05, 0.9) < largest_error(0.1, 0.05, 0.8)


def test_one_seed_says_nothing_about_seeds():
    assert seeds_needed(np.random.default_rng(1).normal(0.1, 1, (1, 500)), 0.05) is None


def test_seeds_that_are_needed_bring_the_error_down():
    """SE^2 = U / n + B / S, from what was drawn, meets the wanted error at the answer and misses it one seed earlier."""
    draw = np.random.default_rng(2)
    num_seeds, users, effect = 40, 20_000, 0.02
    of_user, of_seed = draw.normal(0, 0.2, users), draw.normal(0, 0.05, num_seeds)
    change = effect + of_user + of_seed[:, None] + draw.normal(0, 0.5, (num_seeds, users))
    needed = seeds_needed(change, 0.05)
    seen, between = float(change.mean()), float(change.mean(axis=1).var(ddof=1))
    error = largest_error(seen, 0.05) ** 2
    assert 0.04 / users + between / needed <= error * 1.05
    assert 0.04 / users + between / (needed - 1) > error * 0.95


def test_no_number_of_seeds_replaces_missing_users():
    draw = np.random.default_rng(3)
    change = 0.05 + draw.normal(0, 1, 100) + draw.normal(0, 0.001, (3, 100))
    change += 0.05 - change.mean()
    assert seeds_needed(change, 0.05) is None
