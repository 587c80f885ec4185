"""Expected weights of tied events: equal to the average over all orders, and blind to the order of rows."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.data.neighbours.config import NeighboursConfig
from ltrec.data.neighbours.events import UserEvents
from ltrec.data.neighbours.ties import LARGEST_TIE, ONE, TieWeights
from ltrec.data.neighbours.transitions import Transitions
from tests.support.naive_neighbours import expected_follows

CONFIGS = [
    NeighboursConfig(),
    NeighboursConfig(max_gap=1),
    NeighboursConfig(max_gap=3, gap_decay=0.5, backward_share=0),
    NeighboursConfig(max_gap=4, gap_decay=1, backward_share=1),
    NeighboursConfig(gap_decay=0),
]


def pairs_of(histories, config) -> Counter:
    """M without weights of rows and columns, in units of ONE."""
    every = [event for history in histories for event in history]
    offsets = np.array([0, *itertools.accumulate(map(len, histories))])
    items, times = (np.array([event[k] for event in every], np.int64) for k in (0, 1))
    found: Counter = Counter()
    for portion in Transitions(config, 99).pairs(UserEvents(items, times, offsets, np.arange(len(histories)) - 1)):
        for i, j, weight in zip(*(column.tolist() for column in portion), strict=True):
            found[i, j] += weight
    return found


def naive(histories, config) -> Counter:
    found: Counter = Counter()
    for history in histories:
        for (i, j), weight in expected_follows(history, config).items():
            if i != j:
                found[i, j] += weight
                found[j, i] += config.backward_share * weight
    return found


def assert_close(found: Counter, expected: Counter) -> None:
    expected = {pair: weight for pair, weight in expected.items() if weight > 0}
    assert found.keys() == expected.keys()
    for pair, weight in expected.items():
        assert found[pair] / ONE == pytest.approx(weight, abs=1e-6)


@st.composite
def tied_histories(draw, most: int = 3, ties: int = 4):
    """Histories of a few ties of 1..most events each."""
    histories = []
    for _ in range(draw(st.integers(1, 3))):
        sizes = draw(st.lists(st.integers(1, most), min_size=1, max_size=ties))
        items = draw(st.lists(st.integers(1, 6), min_size=sum(sizes), max_size=sum(sizes)))
        histories.append(list(zip(items, np.repeat(np.arange(len(sizes)), sizes).tolist(), strict=True)))
    return histories


@settings(max_examples=60)
@given(tied_histories(), st.sampled_from(CONFIGS))
def test_it_is_the_average_over_all_orders(histories, config):
    assert_close(pairs_of(histories, config), naive(histories, config))


@settings(max_examples=60)
@given(tied_histories(most=LARGEST_TIE + 4, ties=3), st.sampled_from(CONFIGS), st.randoms())
def test_the_order_inside_ties_does_not_matter(histories, config, chance):
    shuffled = []
    for history in histories:
        ties = [list(tie) for _, tie in itertools.groupby(history, key=lambda event: event[1])]
        for tie in ties:
            chance.shuffle(tie)
        shuffled.append(list(itertools.chain(*ties)))
    assert pairs_of(histories, config) == pairs_of(shuffled, config)


@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(1, 9), max_size=30), min_size=1, max_size=3), st.sampled_from(CONFIGS))
def test_without_ties_it_is_the_plain_sum_over_gaps(items, config):
    histories = [list(zip(row, range(len(row)), strict=True)) for row in items]
    assert_close(pairs_of(histories, config), naive(histories, config))


def test_a_tie_too_large_for_all_pairs_is_one_order_of_its_items_that_differs_between_users():
    tie = [(item, 0) for item in range(1, LARGEST_TIE + 2)]
    config = NeighboursConfig(max_gap=1, backward_share=0)
    alone = [pairs_of([tie], config), pairs_of([[], tie], config)]
    for found in alone:
        assert set(found.values()) == {ONE}, "neighbours in one order"
        assert len(found) == LARGEST_TIE
        assert len({i for i, _ in found}) == len({j for _, j in found}) == LARGEST_TIE
    assert alone[0] != alone[1]


def test_weights_of_the_largest_ties_stay_exact_in_floats():
    weights = TieWeights.of(0.8, 20)
    assert weights.inside_A[LARGEST_TIE] > 0
    assert weights.across_ABC[1, 1].tolist() == [round(0.8**c * ONE) for c in range(20)]
    assert weights.inside_A[2] == ONE // 2
