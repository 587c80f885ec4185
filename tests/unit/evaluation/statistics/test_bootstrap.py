import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.evaluation.metrics import per_user
from ltrec.evaluation.statistics.bootstrap import interval, key_of, rank_classes, resampled_means, value_classes


def naive_means(values, samples: int, seed: int) -> np.ndarray:
    """Draw users with replacement, as the textbook says."""
    draw = np.random.default_rng(seed)
    return np.stack([values[draw.integers(0, len(values), len(values))].mean(axis=0) for _ in range(samples)])


def metrics_of(rank) -> np.ndarray:
    values = per_user(rank, np.full(len(rank), 5001), (5, 10, 20, 50))
    return np.stack([values[n] for n in ("hr@10", "ndcg@10", "mrr@50", "mrr", "auc")], axis=1)


@pytest.fixture(scope="module")
def rank() -> np.ndarray:
    return np.ceil(np.exp(np.random.default_rng(0).normal(4, 2.5, 700)).clip(1, 5000)).astype(int)


def test_same_distribution_as_resampling_users(rank):
    """Mean, spread and tails agree with plain resampling, for metrics that are cut (exact) and those that are not."""
    values = metrics_of(rank)
    fast = resampled_means(values, rank_classes(rank, 50), samples=20_000, seed=1)
    slow = naive_means(values, 20_000, seed=2)
    spread = slow.std(axis=0)
    assert np.all(np.abs(fast.mean(axis=0) - slow.mean(axis=0)) < 0.04 * spread)
    assert fast.std(axis=0) == pytest.approx(spread, rel=0.025)
    for q in (0.005, 0.025, 0.25, 0.5, 0.75, 0.975, 0.995):
        gap = np.abs(np.quantile(fast, q, axis=0) - np.quantile(slow, q, axis=0))
        assert np.all(gap < 0.09 * spread), q


def test_metrics_keep_their_correlation(rank):
    values = metrics_of(rank)[:, :2]
    fast = resampled_means(values, rank_classes(rank, 50), samples=20_000, seed=1)
    assert np.corrcoef(fast.T)[0, 1] == pytest.approx(np.corrcoef(naive_means(values, 20_000, 2).T)[0, 1], abs=0.01)


def test_few_values_are_exactly_binomial():
    """Three users of ten hit: the resampled hit rate has the binomial probabilities, at every value."""
    hits = np.array([1.0] * 3 + [0.0] * 7)
    means = resampled_means(hits[:, None], value_classes(hits), samples=200_000, seed=3)[:, 0]
    observed = np.bincount(np.rint(means * 10).astype(int), minlength=11) / 200_000
    choose = [1, 10, 45, 120, 210, 252, 210, 120, 45, 10, 1]
    exact = np.array([c * 0.3**i * 0.7 ** (10 - i) for i, c in enumerate(choose)])
    assert np.all(np.abs(observed - exact) < 5 * np.sqrt(exact * (1 - exact) / 200_000) + 1e-9)


def test_means_over_seeds_with_many_values():
    values = np.random.default_rng(5).gamma(0.3, 1.0, 900) * (np.random.default_rng(6).random(900) < 0.4)
    classes = value_classes(values)
    assert len(np.unique(classes)) < 100 < len(np.unique(values))
    fast = resampled_means(values[:, None], classes, samples=20_000, seed=1)[:, 0]
    slow = naive_means(values, 20_000, seed=2)
    for q in (0.005, 0.025, 0.5, 0.975, 0.995):
        assert abs(np.quantile(fast, q) - np.quantile(slow, q)) < 0.09 * slow.std(), q


def test_equal_users_do_not_move():
    assert resampled_means(np.full((50, 2), 0.3), np.zeros(50, dtype=int), samples=100, seed=0) == pytest.approx(0.3)
    one = resampled_means(np.array([[0.7]]), np.array([4]), samples=10, seed=0)
    assert one == pytest.approx(0.7)


def test_keyed_by_seed():
    values = np.arange(30.0)[:, None]
    classes = value_classes(values[:, 0])
    first, again, other = (resampled_means(values, classes, samples=50, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_set_of_users_has_a_seed_of_its_own():
    users = np.array([True, False, True, True, False])
    held = [users, ~users, users[:4], np.append(users, [False] * 3), np.ones(5, bool), np.ones(6, bool)]
    assert len({key_of(seed, one) for one in held for seed in (0, 1)}) == 12
    assert key_of(0, users) == key_of(0, users.copy())


def test_a_column_does_not_depend_on_other_columns():
    """Of many classes, so that something is drawn within them too."""
    values = np.random.default_rng(7).gamma(0.4, 1.0, (400, 3))
    classes = value_classes(values[:, 0], 20)
    together = resampled_means(values, classes, samples=200, seed=4)
    for m in range(3):
        assert np.array_equal(together[:, m], resampled_means(values[:, [m]], classes, samples=200, seed=4)[:, 0])


@settings(max_examples=50)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=300), st.integers(1, 40))
def test_value_classes_are_runs_of_neighbours(numbers, limit):
    values = np.array(numbers, dtype=float)
    classes = value_classes(values, limit)
    order = np.argsort(values, kind="stable")
    assert (np.diff(classes[order]) >= 0).all()
    assert len(np.unique(classes)) <= max(limit, 1)
    for value in np.unique(values):
        assert len(np.unique(classes[values == value])) == 1


@settings(max_examples=50)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=200))
def test_ranks_up_to_the_cutoff_stand_alone(ranks):
    rank = np.array(ranks)
    classes = rank_classes(rank, 50, bins=8)
    assert np.array_equal(classes[rank <= 50], rank[rank <= 50] - 1)
    assert (classes[rank > 50] >= 50).all()


def test_intervals_cover_the_truth_as_often_as_they_say():
    """2,000 samples of 300 users from a known population: the 95 % interval holds the true mean about 95 times in 100."""
    population = 1 / np.log2(1 + np.arange(1, 11))
    share, truth = 0.04, 0.04 * float(population.sum())
    draw, held = np.random.default_rng(8), 0
    for trial in range(2000):
        place = draw.choice(11, 300, p=[share] * 10 + [1 - 10 * share])
        values = np.append(population, 0.0)[place]
        low, high = interval(resampled_means(values[:, None], place, samples=400, seed=trial))
        held += bool(low[0] <= truth <= high[0])
    assert 0.93 < held / 2000 < 0.965
