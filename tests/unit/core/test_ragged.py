"""Runs end to end: cut into ranges, and freed of repeats, as loops would."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ltrec.core.ragged import distinct_pairs, prefix_sums, ranges_of_at_most

lengths = st.lists(st.integers(0, 9), max_size=12)


@given(lengths, st.integers(1, 15))
def test_ranges_are_as_long_as_they_may_be_and_leave_nothing_out(lengths, most):
    expected, low = [], 0
    while low < len(lengths):
        high = low + 1
        while high < len(lengths) and sum(lengths[low : high + 1]) <= most:
            high += 1
        expected.append((low, high))
        low = high
    assert list(ranges_of_at_most(prefix_sums(np.array(lengths, np.int64)), most)) == expected


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4))))
def test_every_value_of_a_run_stays_once(pairs):
    run, value = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    kept = distinct_pairs(run, value)
    assert list(zip(*(side.tolist() for side in kept), strict=True)) == sorted(set(pairs))
