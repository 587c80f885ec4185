"""Similar items by their columns equal the naive cosine, for any size of blocks."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltrec.core.ragged import prefix_sums
from ltrec.data.neighbours.content import HeldValues, similar_items

VALUES = 6
bags = st.lists(st.sets(st.integers(0, VALUES - 1)), min_size=1, max_size=12)


def held_of(items: list[set[int]]) -> HeldValues:
    lengths = np.array([0, *map(len, items)])
    return HeldValues(np.array([value for bag in items for value in sorted(bag)], np.int64), prefix_sums(lengths), VALUES)


def naive(items: list[set[int]], power: float, most_holders: int) -> dict[tuple[int, int], float]:
    holders = [sum(value in bag for bag in items) for value in range(VALUES)]
    vectors = [{value: log(len(items) / holders[value]) for value in bag if holders[value] <= most_holders} for bag in items]
    found = {}
    for i, mine in enumerate(vectors, 1):
        for j, other in enumerate(vectors, 1):
            inner = sum(mine[value] * other[value] for value in mine.keys() & other.keys())
            if i != j and inner > 0:
                norms = sqrt(sum(x * x for x in mine.values())) * sqrt(sum(x * x for x in other.values()))
                found[i, j] = (inner / norms) ** power
    return found


@given(bags, st.sampled_from([0.5, 1.0, 2.0]), st.integers(1, 12), st.integers(1, 40))
def test_similarities_are_the_naive_cosines(items, power, most_holders, pairs):
    portions = list(similar_items(held_of(items), power=power, most_holders=most_holders, pairs=pairs))
    item, other, similarity = (np.concatenate([portion[k] for portion in portions]) for k in range(3))
    found = dict(zip(zip(item.tolist(), other.tolist(), strict=True), similarity.tolist(), strict=True))
    assert found == pytest.approx(naive(items, power, most_holders), abs=1e-12)
    assert list(found) == sorted(found)


def test_a_value_of_all_items_is_ignored():
    [(item, _, _)] = similar_items(held_of([{0}, {0}, {0}]), power=2.0, most_holders=10)
    assert item.size == 0


def test_blocks_hold_whole_items():
    items = [{0, 1}, {0, 2}, {1, 2}, {3}, {0, 3}]
    for pairs in (1, 5, 100):
        firsts = [set(item.tolist()) for item, _, _ in similar_items(held_of(items), power=1.0, most_holders=5, pairs=pairs)]
        assert sum(map(len, firsts)) == len(set().union(*firsts)) == 5
