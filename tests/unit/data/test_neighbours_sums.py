"""Sums of pairs: exact, in any order, with as little memory as one likes."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.data.neighbours.sums import PairSums

V = 6
pairs_ = st.lists(st.tuples(st.integers(1, V), st.integers(1, V), st.integers(1, 1 << 60)), max_size=60)


def counted(sums) -> list[tuple[int, int, int]]:
    """All portions, whose items are whole and rise from portion to portion."""
    found, last = [], 0
    for portion in sums.portions():
        rows = list(zip(*(column.tolist() for column in portion), strict=True))
        assert not rows or rows[0][0] > last
        last = rows[-1][0] if rows else last
        found += rows
    return found


@settings(deadline=None)
@given(pairs=pairs_, rows=st.integers(1, 70), step=st.integers(1, 9))
def test_it_adds_whatever_is_held_in_memory(tmp_path_factory, pairs, rows, step):
    expected: Counter[tuple[int, int]] = Counter()
    sums = PairSums(V, tmp_path_factory.mktemp("runs"), rows)
    for first in range(0, len(pairs), step):
        portion = np.array(pairs[first : first + step], np.int64).reshape(-1, 3)
        sums.add(*portion.T)
    for item, neighbour, weight in pairs:
        expected[item, neighbour] += weight
    if max(expected.values(), default=0) < 1 << 63:
        assert counted(sums) == [(*pair, total) for pair, total in sorted(expected.items())]


def test_runs_appear_when_sums_alone_are_too_many_and_not_before(tmp_path):
    few, many = (PairSums(1000, tmp_path, rows=10) for _ in range(2))
    for n in range(1, 101):
        few.add(*np.full((3, 1), 1))
        many.add(*np.array([[n], [1], [1]]))
    assert (few.num_runs, counted(few)) == (0, [(1, 1, 100)])
    assert many.num_runs > 5
    assert counted(many) == [(n, 1, 1) for n in range(1, 101)]
