import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.core.inequality import gini
from ltrec.evaluation.catalogue import ItemCatalogue
from ltrec.evaluation.lists import list_metrics

COUNTS = [50, 20, 10, 10, 5, 3, 1, 1, 0, 0]


def catalogue(counts=COUNTS) -> ItemCatalogue:
    return ItemCatalogue.of(torch.tensor([0, *counts]))


def test_the_step_function_has_every_count():
    steps = catalogue()
    assert steps.counts == (50, 20, 10, 5, 3, 1, 0)
    assert steps.items == (1, 1, 2, 1, 1, 2, 2)
    assert steps.num_items == 10
    assert steps.count_of(np.arange(1, 11)).tolist() == COUNTS


@settings(max_examples=30)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_every_item_has_one_class_and_more_events_never_a_rarer_one(counts):
    falling = sorted(counts, reverse=True)
    steps = catalogue(falling)
    names = steps.class_names((0.2, 0.5, 0.8))
    classes = steps.class_of(np.array(falling), (0.2, 0.5, 0.8))
    assert (np.diff(classes) <= 0).all()
    assert classes.min() >= 0 and classes.max() < len(names)
    if 0 in falling and max(falling):
        assert names[0] == "0"
        assert (classes == 0).tolist() == [count == 0 for count in falling]


def test_classes_by_hand():
    # Cumulative events: 50, 70, 90, 95, 98, 100 of 100; nearest to 20, 50, 80 are 50, 50 and 70 (as near as 90, but sooner).
    assert catalogue().class_bounds((0.2, 0.5, 0.8)) == (0, 1, 20, 50)
    assert catalogue().class_names((0.2, 0.5, 0.8)) == ("0", "1-19", "20-49", "50+")
    assert catalogue().tail_below((0.2, 0.5, 0.8)) == 20
    assert catalogue([4, 4, 4]).class_names((0.5,)) == ("4+",)
    assert catalogue([0, 0]).class_names((0.5,)) == ("0+",)


def lists(rows: list[list[int]], keep: list[bool], k: int) -> dict[str, float]:
    items = np.array([i for row in rows for i in row], dtype=np.int32)
    lengths = np.array([len(row) for row in rows])
    return list_metrics(items, lengths, np.array(keep), cutoffs=(k,), catalogue=catalogue(), shares=(0.2, 0.5, 0.8))


def test_list_metrics_by_hand():
    found = lists([[1, 2, 3], [1, 4], [9, 10, 8]], [True, True, False], 2)
    assert found["coverage@2"] == 3 / 10  # items 1, 2, 4
    assert found["popularity@2"] == (50 + 20 + 50 + 10) / 4
    assert found["tail_share@2"] == 1 / 4  # item 4 alone
    assert found["gini@2"] == pytest.approx(gini(np.array([2, 1, 0, 1, 0, 0, 0, 0, 0, 0])))


def test_no_recommendations_give_nan():
    assert all(np.isnan(v) for v in lists([[1]], [False], 1).values())


@settings(max_examples=30)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=15).filter(any))
def test_gini_is_the_mean_difference_over_twice_the_mean(amounts):
    x = np.array(amounts)
    naive = np.abs(x[:, None] - x[None, :]).mean() / (2 * x.mean())
    assert gini(x) == pytest.approx(naive, abs=1e-12)


def test_gini_of_equal_shares_is_zero_and_of_a_single_item_nearly_one():
    assert gini(np.full(7, 3)) == pytest.approx(0)
    assert gini(np.array([0] * 99 + [5])) == pytest.approx(0.99)
    assert np.isnan(gini(np.zeros(3, dtype=int)))
