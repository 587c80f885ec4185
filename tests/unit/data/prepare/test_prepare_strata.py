from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.core.activity_cuts import head_bound
from ltrec.data.prepare.users.strata import equal_bounds


def histogram(activities):
    counts = sorted(Counter(activities).items())
    return (np.array(column, dtype=np.int64) for column in zip(*counts, strict=True))


def brute_force(activities, share):
    """The distinct value, not the smallest, with the share of users below it nearest to `share`; the lowest of equals."""
    n = len(activities)
    values = sorted(set(activities))[1:]
    return min(values, key=lambda v: (abs(Fraction(sum(a < v for a in activities), n) - share), v), default=None)


@settings(max_examples=200)
@given(st.lists(st.integers(1, 15), min_size=1, max_size=40), st.integers(1, 7))
def test_bounds_equal_brute_force(activities, count):
    expected = {brute_force(activities, Fraction(k, count)) for k in range(1, count)} - {None}
    assert equal_bounds(*histogram(activities), count) == [1, *sorted(expected)]


@settings(max_examples=200)
@given(st.lists(st.integers(1, 15), min_size=1, max_size=40), st.sampled_from([0.2, 0.25, 0.5, 0.0, 1.0]))
def test_the_head_equals_brute_force(activities, share):
    expected = brute_force(activities, 1 - Fraction(str(share)))
    assert head_bound(*histogram(activities), share) == (expected or max(activities) + 1)


def test_ties_leave_fewer_strata():
    assert equal_bounds(*histogram([3] * 90 + [7] * 10), 5) == [1, 7]
    assert equal_bounds(*histogram([4] * 10), 5) == [1]


@pytest.mark.parametrize(("activities", "head"), [([1, 2, 3, 4, 5], 5), ([1] * 8 + [2] * 2, 2), ([5, 5], 6), ([1, 2], 2)])
def test_head_by_hand(activities, head):
    assert head_bound(*histogram(activities), 0.2) == head
