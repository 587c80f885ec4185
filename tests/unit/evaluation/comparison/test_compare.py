import json
from dataclasses import replace
from math import isnan, log2

import numpy as np
import pytest

from ltrec.core.errors import UserError
from ltrec.evaluation.comparison.compare import compare
from ltrec.evaluation.comparison.pairing import pair
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.table import Protocol
from tests.support.evaluation import eval_table

QUICK = EvaluationConfig(bootstrap_samples=400)
ACTIVITY = np.array([1, 2, 3, 5, 6, 9, 12, 20])


def table(rank, **options):
    return eval_table(rank, ACTIVITY[: len(rank)], **options)


def random_ranks(seed: int, count: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 90, count)


def test_differences_by_hand():
    found = compare(base=[table([1, 2, 50, 4, 5, 6, 7, 90])], other=[table([1, 1, 3, 4, 5, 6, 70, 2])], config=QUICK)
    tail, head = found.groups["tail"].metrics["ndcg@10"], found.groups["head"].metrics["ndcg@10"]
    assert tail.change.mean == pytest.approx((1 - 1 / log2(3) + 1 / 2) / 5)
    assert head.change.mean == pytest.approx((1 / log2(3) - 1 / log2(8)) / 3)
    assert tail.other - tail.base == pytest.approx(tail.change.mean)
    assert tail.relative == pytest.approx(tail.change.mean / tail.base)
    assert isnan(tail.seed_spread)
    assert sorted(found.groups["all"].metrics) == ["hr@10", "mrr@10", "ndcg@10"]


def test_rows_are_matched_by_user_not_by_place():
    base, other = table(random_ranks(0)), table(random_ranks(1))
    turned = replace(other, rows=other.rows.take([5, 3, 1, 7, 0, 2, 4, 6]))
    there, here = (compare(base=[base], other=[t], config=QUICK).to_dict() for t in (turned, other))
    assert there == here


def test_a_run_against_itself_changes_nothing_and_gains_nothing():
    one = table(random_ranks(2))
    for group in compare(base=[one], other=[one], config=QUICK).groups.values():
        for found in group.metrics.values():
            assert (found.change.mean, found.change.low, found.change.high, found.p_gain) == (0, 0, 0, 1)


def test_swapping_the_sides_mirrors_the_result():
    ranks = [np.random.default_rng(s).integers(1, 40, 600) for s in (1, 2)]
    one, two = (eval_table(r, np.full(600, 3)) for r in ranks)
    config = EvaluationConfig(bootstrap_samples=4000)
    there = compare(base=[one], other=[two], config=config).groups["all"].metrics["ndcg@10"]
    back = compare(base=[two], other=[one], config=config).groups["all"].metrics["ndcg@10"]
    assert there.change.mean == pytest.approx(-back.change.mean)
    assert there.change.low == pytest.approx(-back.change.high, abs=0.1 * (back.change.high - back.change.low))
    assert there.p_gain == pytest.approx(1 - back.p_gain, abs=0.05)


def test_pairing_is_sharper_than_two_separate_samples():
    """Both scorers find the same users hard: the paired interval must be much narrower than that of two independent means."""
    draw = np.random.default_rng(4)
    hard = draw.integers(1, 60, 2000)
    better = np.where(draw.random(2000) < 0.1, np.maximum(1, hard - 5), hard)
    found = compare(base=[eval_table(hard)], other=[eval_table(better)], config=EvaluationConfig(bootstrap_samples=2000))
    change = found.groups["all"].metrics["ndcg@10"].change
    value = np.where(hard <= 10, 1 / np.log2(1 + hard), 0)
    independent = 2 * 1.96 * np.sqrt(2 * value.var() / 2000)
    assert change.high - change.low < independent / 2


def test_seeds_are_paired_and_averaged_per_user():
    base = [table(random_ranks(s), seed=s) for s in (1, 2, 3)]
    other = [table(random_ranks(s + 10), seed=s) for s in (3, 1, 2)]
    found = compare(base=base, other=other, config=QUICK)
    singles = [
        compare(base=[base[i]], other=[next(o for o in other if o.source["seed"] == i + 1)], config=QUICK)
        .groups["all"]
        .metrics["hr@10"]
        for i in range(3)
    ]
    changes = [s.change.mean for s in singles]
    assert found.seeds == (1, 2, 3)
    assert found.groups["all"].metrics["hr@10"].change.mean == pytest.approx(np.mean(changes))
    assert found.groups["all"].metrics["hr@10"].seed_spread == pytest.approx(np.std(changes, ddof=1))


def test_a_baseline_without_a_seed_is_paired_with_every_seed():
    other = [table(random_ranks(s), seed=s) for s in (1, 2)]
    paired = pair(base=[table(random_ranks(0), seed=None)], other=other)
    base, values = paired.values("mrr")
    assert paired.seeds == (1, 2)
    assert base.shape == values.shape == (2, 8) and np.array_equal(base[0], base[1])
    turned = pair(base=other, other=[table(random_ranks(0), seed=None)])
    assert np.array_equal(turned.values("mrr")[1], base)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("manifest", "zzz999", r"prepared data differs \(abc123 and zzz999\)"),
        ("split", "valid", r"split differs \(test and valid\)"),
        ("candidates", "sampled (100 uniform, seed 0)", r"candidate set differs \(full and sampled"),
        ("filter_seen", False, r"filter of seen items differs \(True and False\)"),
        ("ties", "optimistic", r"ties differs \(pessimistic and optimistic\)"),
    ],
)
def test_another_protocol_is_refused_by_name(field, value, told):
    base = table(random_ranks(0), name="sasrec")
    other = table(random_ranks(1), name="pin", protocol=replace(Protocol("abc123", "test"), **{field: value}))
    with pytest.raises(UserError, match=f"cannot compare 'sasrec' with 'pin': {told}"):
        compare(base=[base], other=[other], config=QUICK)


def test_another_protocol_among_the_seeds_is_refused():
    runs = [table(random_ranks(s), seed=s) for s in (1, 2)]
    stray = replace(table(random_ranks(2), seed=2), protocol=Protocol("abc123", "valid"))
    with pytest.raises(UserError, match="split differs"):
        pair(base=runs, other=[runs[0], stray])


def test_other_users_are_refused_with_an_example():
    with pytest.raises(UserError, match=r"users differ \(1 only in the first, 1 only in the second, for example 'u2'\)"):
        pair(base=[table([1, 2, 3])], other=[table([1, 2, 3], users=[0, 1, 5])])
    with pytest.raises(UserError, match=r"users differ \(0 only in the first, 1 only in the second, for example 'u3'\)"):
        pair(base=[table([1, 2, 3])], other=[table([1, 2, 3, 4])])


def test_other_targets_are_refused_with_an_example():
    with pytest.raises(UserError, match="targets of 1 users differ, for example of 'u2'"):
        pair(base=[table([1, 2, 3])], other=[table([1, 2, 3], target=[1, 2, 9])])


@pytest.mark.parametrize(
    ("base_seeds", "other_seeds", "told"),
    [
        ((1, 2), (1, 3), r"seeds 1, 2\).*seeds 1, 3"),
        ((1, 2), (1,), r"seeds 1, 2\).*seeds 1\)"),
        ((1, 1), (1, 2), "every run needs a different seed"),
    ],
)
def test_seeds_that_do_not_pair_are_refused(base_seeds, other_seeds, told):
    base, other = ([table(random_ranks(s), seed=s) for s in seeds] for seeds in (base_seeds, other_seeds))
    with pytest.raises(UserError, match=told):
        pair(base=base, other=other)


@pytest.mark.parametrize("name", ["ndgc@10", "ndcg@", "ndcg@x", "hr@0", "coverage@10", "hr"])
def test_an_unknown_metric_is_refused(name):
    one = table(random_ranks(0))
    with pytest.raises(UserError, match="is not a metric"):
        compare(base=[one], other=[one], config=QUICK, metrics=[name])


def test_an_empty_group_has_no_differences_and_json_is_plain():
    one = eval_table([1, 2], [1, 9])
    found = compare(base=[one], other=[one], config=QUICK)
    assert found.groups["stratum=1"].metrics == {}
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(text)["groups"]["all"]["metrics"]["hr@10"]["seed_spread"] is None
