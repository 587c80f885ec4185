import json
from dataclasses import replace
from math import isnan, log2

import numpy as np
import pytest

from ltrec.core.errors import UserError
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.groups.users import groups
from ltrec.evaluation.statistics.seeds import resampled
from ltrec.evaluation.summary import summarise
from tests.support.evaluation import eval_table

QUICK = EvaluationConfig(bootstrap_samples=300)
# Activity bounds of the fake strata are 1, 5, 9 and the head begins at 9. Users 6 and 7 are unseen: kept out of training, cold.
RANK = [1, 3, 60, 2, 7, 1, 5, 80]
ACTIVITY = [1, 4, 5, 8, 9, 40, 0, 0]
HISTORY = [2, 5, 6, 9, 10, 41, 3, 0]
TARGET = [1, 2, 3, 50, 60, 100, 1, 90]


@pytest.fixture(scope="module")
def table():
    return eval_table(RANK, ACTIVITY, history=HISTORY, target=TARGET)


@pytest.fixture(scope="module")
def summary(table):
    return summarise(table, QUICK)


def test_groups_by_hand(table):
    members = {g.key: np.flatnonzero(g.mask_N).tolist() for g in groups(table)}
    assert members == {
        "all": [0, 1, 2, 3, 4, 5, 6],
        "tail": [0, 1, 2, 3],
        "head": [4, 5],
        "stratum=0": [0, 1],
        "stratum=1": [2, 3],
        "stratum=2": [4, 5],
        "new": [6],
        "cold": [7],
    }
    assert {g.key: g.label for g in groups(table)}["stratum=1"] == "5-8 events"


def test_the_head_cut_can_be_moved(table):
    moved = {g.key: np.flatnonzero(g.mask_N).tolist() for g in groups(table, head_from=5)}
    assert (moved["tail"], moved["head"]) == ([0, 1], [2, 3, 4, 5])
    assert summarise(table, EvaluationConfig(bootstrap_samples=2, head_from=5)).groups["head"].users == 4


def test_unseen_users_appear_only_when_there_are_any():
    keys = [g.key for g in groups(eval_table([1, 2], [1, 9]))]
    assert keys == ["all", "tail", "head", "stratum=0", "stratum=1", "stratum=2"]


def test_means_by_hand(summary):
    def mean(group: str, metric: str) -> float:
        return summary.groups[group].metrics[metric].mean

    assert summary.headline == "ndcg@10"
    assert mean("head", "ndcg@10") == pytest.approx((1 / log2(8) + 1) / 2)
    assert mean("stratum=1", "ndcg@10") == pytest.approx((0 + 1 / log2(3)) / 2)
    assert mean("all", "hr@5") == pytest.approx(5 / 7)
    assert mean("cold", "mrr") == pytest.approx(1 / 80)
    assert mean("new", "mrr@5") == pytest.approx(1 / 5)
    assert [g.users for g in summary.groups.values()] == [7, 4, 2, 2, 2, 2, 1, 1]


def test_intervals_hold_the_mean(summary):
    for group in summary.groups.values():
        for estimate in group.metrics.values():
            assert estimate.low - 1e-12 <= estimate.mean <= estimate.high + 1e-12


def test_every_metric_of_every_group_is_there(summary):
    names = [f"{m}@{k}" for k in (5, 10, 20, 50) for m in ("hr", "recall", "ndcg", "mrr")] + ["mrr", "auc"]
    lists = [f"{m}@{k}" for k in (5, 10, 20, 50) for m in ("coverage", "gini", "popularity", "tail_share")]
    for group in summary.groups.values():
        assert sorted(group.metrics) == sorted(names)
        assert sorted(group.lists) == sorted(lists)
    assert summary.groups["all"].lists["coverage@5"] == 3 / 100


def test_grid_counts_the_trained_users_once(summary):
    grid = summary.grid
    assert grid.rows == ("1-4", "5-8", "9+")
    assert grid.users_KP.sum() == 6  # neither the new nor the cold user
    assert grid.users_KP.sum(axis=1).tolist() == [2, 2, 2]
    assert np.isnan(grid.mean_KP).tolist() == (grid.users_KP == 0).tolist()
    row_means = [np.nansum(grid.mean_KP[k] * grid.users_KP[k]) / 2 for k in range(3)]
    assert row_means == pytest.approx([g.metrics["ndcg@10"].mean for g in summary.strata()])


def test_grid_columns_are_popularity_classes(table, summary):
    class_N = table.catalogue.class_of(table.column("target_count"), QUICK.item_shares)
    assert (np.bincount(class_N[:6], minlength=len(summary.grid.columns)) == summary.grid.users_KP.sum(axis=0)).all()
    assert class_N[0] == len(summary.grid.columns) - 1  # item 1 is the most popular


def test_worst_stratum_and_gap(summary):
    means = [g.metrics["ndcg@10"].mean for g in summary.strata()]
    assert summary.worst("ndcg@10").metrics["ndcg@10"].mean == min(means)
    assert summary.gap("ndcg@10") == pytest.approx(max(means) - min(means))


def test_an_empty_stratum_gives_nan_and_changes_nothing_else():
    summary = summarise(eval_table([1, 2], [1, 9]), QUICK)
    empty = summary.groups["stratum=1"]
    assert empty.users == 0 and isnan(empty.metrics["hr@10"].mean) and isnan(empty.lists["coverage@10"])
    assert summary.worst("hr@10").users


def test_a_table_without_users():
    summary = summarise(eval_table([]), QUICK)
    assert summary.groups["all"].users == 0 and isnan(summary.repeat_share)
    assert summary.worst("hr@10") is None and isnan(summary.gap("hr@10"))


def test_json_is_plain_and_the_same_twice(table):
    empty = eval_table([1, 2], [1, 9])
    texts = [json.dumps(summarise(t, QUICK).to_dict(), allow_nan=False) for t in (table, table, empty)]
    assert texts[0] == texts[1]
    assert json.loads(texts[2])["groups"]["stratum=1"]["metrics"]["hr@10"]["mean"] is None


def test_order_of_users_does_not_matter(table, summary):
    turned = summarise(replace(table, rows=table.rows.take(list(range(8))[::-1])), QUICK)
    for key, group in summary.groups.items():
        assert {n: e.low for n, e in turned.groups[key].metrics.items()} == pytest.approx(
            {n: e.low for n, e in group.metrics.items()}
        )
        assert turned.groups[key].lists == pytest.approx(group.lists, nan_ok=True)


def seeds(count: int = 3, users: int = 300):
    """Tables of one method: users differ, seeds differ, and their rows come in any order."""
    made = []
    for seed in range(count):
        draw = np.random.default_rng(seed)
        activity = np.where(np.arange(users) % 4 == 0, 12, 3)
        rank = np.minimum(np.arange(users) % 9 + draw.integers(1, 8, users) + seed, 100)
        top = [draw.permutation(20)[:10] + 1 for _ in range(users)]
        made.append(eval_table(rank, activity, seed=seed, name=f"pin-{seed}", top=top))
    shuffled = np.random.default_rng(9).permutation(users)
    return [made[0], *(replace(t, rows=t.rows.take(shuffled)) for t in made[1:])]


def test_seeds_are_summed_up_by_their_mean_and_spread():
    tables = seeds()
    alone, together = [summarise(t, QUICK) for t in tables], summarise(tables, QUICK)
    assert (together.name, together.seeds) == ("pin", (0, 1, 2))
    for key, group in together.groups.items():
        if not group.users:
            continue
        for name, found in group.metrics.items():
            values = [s.groups[key].metrics[name].mean for s in alone]
            assert (found.mean, found.spread) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
        for name, value in group.lists.items():
            values = [s.groups[key].lists[name] for s in alone]
            assert (value, group.list_spreads[name]) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    cells = np.mean([s.grid.mean_KP for s in alone], axis=0)
    np.testing.assert_allclose(together.grid.mean_KP, cells)


def test_intervals_over_seeds_include_the_variance_of_both():
    """Beside a naive bootstrap over users with Student's t of the seeds, as `seeds` tells it; wider than users alone make it."""
    tables, config = seeds(), EvaluationConfig(bootstrap_samples=20_000)
    found = summarise(tables, config).groups["all"].metrics["mrr"]
    order = [np.argsort(t.column("user_key")) for t in tables]
    value_SN = np.stack([1 / t.column("rank")[o] for t, o in zip(tables, order, strict=True)])
    means = resampled(value_SN, np.ones(value_SN.shape[1], bool), replace(config, seed=9))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.05 * (found.high - found.low))
    alone = summarise(tables[0], config).groups["all"].metrics["mrr"]
    assert found.high - found.low > 2 * (alone.high - alone.low)


def test_one_table_is_summed_up_as_ever_and_has_no_spread():
    table = seeds(1)[0]
    one, listed = summarise(table, QUICK), summarise([table], QUICK)
    assert json.dumps(one.to_dict()) == json.dumps(listed.to_dict())
    assert isnan(one.groups["all"].metrics["mrr"].spread) and one.to_dict()["groups"]["all"]["metrics"]["mrr"]["spread"] is None


def test_seeds_stay_within_what_a_share_can_be():
    tables = [eval_table([100] * 3 + [1] * seed, [3] * (3 + seed), seed=seed) for seed in (0, 0)]
    few = [eval_table(np.where(np.arange(40) < 1 + 6 * seed, 1, 90), seed=seed) for seed in range(3)]
    ends = summarise(few, QUICK).groups["all"].metrics["hr@5"]
    assert 0 <= ends.low < ends.mean < ends.high <= 1
    with pytest.raises(UserError, match="every run needs a different seed"):
        summarise(tables, QUICK)


def test_a_column_of_the_grid_is_the_mean_over_its_users():
    grid = summarise(seeds(1)[0], QUICK).grid
    for p in range(len(grid.columns)):
        users, mean = grid.column(p)
        cells = [(n, m) for n, m in zip(grid.users_KP[:, p], grid.mean_KP[:, p], strict=True) if n]
        assert users == sum(n for n, _ in cells)
        assert mean == pytest.approx(sum(n * m for n, m in cells) / users) if users else isnan(mean)
