"""The synthetic log does what its docstring claims: every claim of the generative model is measured on the table alone."""

import dataclasses
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.cli.main import main
from ltrec.data.fetch import EVENT_SCHEMA, SyntheticConfig, fetch_synthetic, generate
from ltrec.data.fetch.events import table_digest
from ltrec.data.fetch.synthetic_walk import SyntheticCatalogue, _draw_item, _follow, make_catalogue


@dataclasses.dataclass
class Log:
    """A log as numbers, in source order."""

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray

    @property
    def activity(self):
        return np.bincount(self.user)

    def by_user(self):
        """The same events, user by user, source order kept."""
        order = np.argsort(self.user, kind="stable")
        return Log(self.user[order], self.item[order], self.time[order])

    def steps(self):
        """Row numbers (of `by_user`) whose successor belongs to the same user."""
        return np.flatnonzero(self.user[1:] == self.user[:-1])


def numbers(table):
    def codes(name):
        return np.asarray(table[name].combine_chunks().dictionary_encode().indices)

    return Log(codes("user_id"), codes("item_id"), np.asarray(table["timestamp"]))


@pytest.fixture(scope="module")
def log():
    return numbers(generate(SyntheticConfig()))


def test_golden_table():
    """Another digest means that everyone's synthetic results change: its own commit, with the reason."""
    table = generate(SyntheticConfig(users=50, items=40, seed=7, events_per_user=6))
    assert table_digest(table) == "2782fc0a9c1b388a0f747db844e487f8c50465cbce19969d0f554fb5f3cf9c44"


@pytest.mark.parametrize("change", [{"seed": 8}, {"users": 51}, {"items": 41}, {"events_per_user": 7.0}])
def test_every_option_matters(change):
    base = SyntheticConfig(users=50, items=40, seed=7, events_per_user=6)
    assert table_digest(generate(base)) == table_digest(generate(base))
    assert table_digest(generate(dataclasses.replace(base, **change))) != table_digest(generate(base))


@settings(max_examples=25)
@given(
    st.builds(
        SyntheticConfig,
        users=st.integers(2, 60),
        items=st.integers(10, 90),
        seed=st.integers(0, 2**63 - 1),
        events_per_user=st.floats(3, 30),
    )
)
def test_any_shape_is_a_well_formed_log(config):
    table = generate(config)
    assert table.schema == EVENT_SCHEMA
    assert all(column.null_count == 0 for column in table.columns)
    log = numbers(table)
    assert len(log.activity) == config.users
    assert log.activity.min() >= 2
    assert log.item.max() < config.items
    assert np.all(np.diff(log.time) >= 0)
    assert 1_672_531_200 <= log.time[0] <= log.time[-1] < 1_672_531_200 + 365 * 86_400


@pytest.mark.parametrize("users", [500, 20_000])
def test_activity_is_a_power_law(users):
    """Hill's estimator over the most active tenth gives the tail index; the mean is the one asked for; a fifth has half of all."""
    activity = np.sort(numbers(generate(SyntheticConfig(users=users, seed=3))).activity)[::-1]
    tail = activity[: users // 10].astype(float)
    hill = 1 / np.mean(np.log(tail[:-1] / tail[-1]))
    assert hill == pytest.approx(1.7, abs=0.25)
    assert activity.mean() == pytest.approx(12, rel=0.02)
    assert 0.45 < activity[: users // 5].sum() / activity.sum() < 0.6
    assert np.median(activity) <= 8


def item_by_class(log, is_head_user):
    head = is_head_user[log.user]
    return np.stack([np.bincount(log.item[part], minlength=log.item.max() + 1) for part in (~head, head)]).astype(float)


def chi_square(table):
    table = table[:, table.sum(0) > 0]
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    return ((table - expected) ** 2 / expected).sum()


def test_taste_depends_on_activity(log):
    """Items by half of the activity: far beyond what users permuted among the halves give (users, not events, are exchangeable)."""
    few = np.minimum(log.activity, 12) == log.activity  # leave the busiest out: their single tastes would widen the null
    kept = few[log.user]
    log = Log(log.user[kept], log.item[kept], log.time[kept])
    is_head_user = log.activity > np.median(log.activity[log.activity > 0])
    rng = np.random.default_rng(0)
    null = [chi_square(item_by_class(log, rng.permutation(is_head_user))) for _ in range(50)]
    assert chi_square(item_by_class(log, is_head_user)) > np.mean(null) + 10 * np.std(null)


def transitions(log, rows, count, weight_by_user=None):
    table = np.zeros((count, count))
    weight = 1 if weight_by_user is None else weight_by_user[log.user[rows]]
    np.add.at(table, (log.item[rows], log.item[rows + 1]), weight)
    return table


def rank(scores_NV, target_N):
    """1 = best; ties count against the target."""
    own = scores_NV[np.arange(len(target_N)), target_N]
    return (scores_NV >= own[:, None]).sum(1)


def hits_at_10(scores_NV, target_N):
    return np.mean(rank(scores_NV, target_N) <= 10)


def ndcg_at_10(scores_NV, target_N):
    rank_N = rank(scores_NV, target_N)
    return np.mean((rank_N <= 10) / np.log2(rank_N + 1))


def last_steps(log):
    steps = log.steps()
    return steps[np.append(log.user[steps[1:]] != log.user[steps[:-1]], True)]


def test_the_order_of_items_tells_much_more_than_popularity(log):
    """Leave one out: a plain table of transitions hits 5 times as often as popularity, so a sequence model has what to learn."""
    log = log.by_user()
    count = log.item.max() + 1
    last = last_steps(log)
    train = np.setdiff1d(log.steps(), last)
    popularity = np.bincount(log.item[np.setdiff1d(np.arange(len(log.item)), last + 1)], minlength=count)
    followed = transitions(log, train, count) + 1e-6 * popularity
    target = log.item[last + 1]
    by_popularity = hits_at_10(np.broadcast_to(popularity, (len(target), count)), target)
    by_transition = hits_at_10(followed[log.item[last]], target)
    assert by_transition > 0.4
    assert by_transition > 5 * by_popularity


def test_activeness_confounds_the_next_item(log):
    """For tail users' last steps, transitions learned from other tail users beat as many transitions learned from head users."""
    log = log.by_user()
    count = log.item.max() + 1
    activity = log.activity[log.user]
    last = last_steps(log)
    train = np.setdiff1d(log.steps(), last)
    tail_last = last[activity[last] <= np.median(log.activity)]
    tail = train[activity[train] <= np.median(log.activity)]
    head = train[activity[train] >= np.quantile(log.activity, 0.95)]
    same = min(len(tail), len(head))
    rng = np.random.default_rng(0)
    hits = [
        hits_at_10(
            (transitions(log, rng.choice(rows, same, replace=False), count) + 1e-9)[log.item[tail_last]], log.item[tail_last + 1]
        )
        for rows in (tail, head)
    ]
    assert hits[0] > 3 * hits[1]


def test_equal_weight_for_users_helps_the_tail_and_costs_the_head(log):
    """The trade-off that the methods are about is in the data: pooled events favour the head."""
    log = log.by_user()
    count = log.item.max() + 1
    last = last_steps(log)
    train = np.setdiff1d(log.steps(), last)
    activity = log.activity[log.user[last]]
    tail, head = last[activity <= np.median(log.activity)], last[activity >= np.quantile(log.activity, 0.8)]
    fits = [transitions(log, train, count, weight) for weight in (None, 1 / log.activity)]
    of_tail, of_head = ([ndcg_at_10(fit[log.item[part]], log.item[part + 1]) for fit in fits] for part in (tail, head))
    assert of_tail[1] > 1.08 * of_tail[0]
    assert of_head[1] < 0.9 * of_head[0]


def test_popularity_drifts(log):
    """Item counts of distant thirds of the year agree much less than those of random thirds of the events."""
    rng = np.random.default_rng(0)

    def agreement(part):
        first, last = (np.bincount(log.item[part == p], minlength=log.item.max() + 1) for p in (0, 2))
        return np.corrcoef(first, last)[0, 1]

    by_time = np.arange(len(log.time)) * 3 // len(log.time)
    assert agreement(by_time) < agreement(rng.permutation(by_time)) - 0.3


def test_times_tie(log):
    log = log.by_user()
    steps = log.steps()
    assert np.mean(log.time[steps] == log.time[steps + 1]) == pytest.approx(0.35, abs=0.02)


def test_labels_tell_nothing_about_activity():
    """Names are shuffled: a model that reads ids as numbers learns nothing."""
    users = generate(SyntheticConfig(users=4000, items=50))["user_id"]
    names, counts = np.unique(np.asarray(users), return_counts=True)
    assert abs(np.corrcoef(np.argsort(np.argsort(names)), np.argsort(np.argsort(counts)))[0, 1]) < 0.1


def naive_draw(catalogue: SyntheticCatalogue, cluster, period, uniform):
    """One item by walking the weights of its cluster."""
    items = range(catalogue.first_C[cluster], catalogue.first_C[cluster] + catalogue.size_C[cluster])
    running = np.concatenate([[0.0], catalogue.weight_EM.ravel()])
    weights = [running[period * len(catalogue.cluster_M) + i + 1] - running[period * len(catalogue.cluster_M) + i] for i in items]
    left = uniform * sum(weights)
    for item, weight in zip(items, weights, strict=True):
        left -= weight
        if left < 0:
            return item
    return items[-1]


class Replayed:
    """A generator whose uniforms are known."""

    def __init__(self, values):
        self.values = values

    def random(self, size):
        assert size == len(self.values)
        return self.values


def test_items_are_drawn_by_weight_within_their_cluster():
    rng = np.random.Generator(np.random.PCG64(1))
    catalogue = make_catalogue(57, rng)
    cluster, period = rng.integers(0, len(catalogue.size_C), 500), rng.integers(0, 24, 500)
    uniform = rng.random(500)
    naive = [naive_draw(catalogue, *draw) for draw in zip(cluster, period, uniform, strict=True)]
    assert _draw_item(catalogue, cluster, period, Replayed(uniform)).tolist() == naive


def test_following_moves_along_the_ring_of_the_regime():
    catalogue = make_catalogue(57, np.random.Generator(np.random.PCG64(1)))
    for regime in (0, 1):
        for item in range(57):
            mates = [i for i in catalogue.ring_RM[regime] if catalogue.cluster_M[i] == catalogue.cluster_M[item]]
            for uniform, step in ((0.39, 1), (0.41, 2), (0.89, 3), (0.91, 4)):
                found = _follow(catalogue, np.array([item]), np.array([regime]), Replayed(np.array([uniform])))
                assert found[0] == mates[(mates.index(item) + step) % len(mates)]
    assert not np.array_equal(catalogue.ring_RM[0], catalogue.ring_RM[1])


@pytest.mark.parametrize(
    ("field", "value", "option"),
    [
        ("users", 1, "--users"),
        ("items", 9, "--items"),
        ("seed", -1, "--seed"),
        ("events_per_user", 2.9, "--events-per-user"),
        ("events_per_user", float("nan"), "--events-per-user"),
    ],
)
def test_impossible_shapes_are_refused(field, value, option, capsys):
    with pytest.raises(ValueError, match=f"{field} must be at least .*got {value}"):
        SyntheticConfig(**{field: value})
    assert main(["fetch", "synthetic", option, str(value)]) == 2
    assert re.fullmatch(f"error: {option} must be at least .*; got {value}\n", capsys.readouterr().err)


def test_the_log_is_written_with_its_recipe(tmp_path):
    config = SyntheticConfig(users=20, items=15, seed=5, events_per_user=4.5)
    path = fetch_synthetic(config, tmp_path / "out")
    assert pq.read_table(path).equals(pa.table(generate(config)))
    notice = (tmp_path / "out" / "NOTICE.txt").read_text()
    assert "ltrec fetch synthetic --users 20 --items 15 --seed 5 --events-per-user 4.5" in notice
