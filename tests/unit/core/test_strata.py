"""Merged strata: runs of neighbours, nothing lost, cut where it was said."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.core.strata import Strata

FIVE = Strata(lower_bounds=(1, 3, 4, 9, 20), users=(50, 20, 10, 15, 5), events=(75, 60, 60, 180, 150), head_from=9)


@st.composite
def any_strata(draw):
    count = draw(st.integers(1, 9))
    bounds = sorted(draw(st.sets(st.integers(1, 200), min_size=count, max_size=count)))
    counts = st.lists(st.integers(0, 1000), min_size=count, max_size=count)
    return Strata(tuple(bounds), tuple(draw(counts)), tuple(draw(counts)), draw(st.integers(1, 250)))


@settings(max_examples=60)
@given(any_strata(), st.data())
def test_nothing_is_lost_and_no_order_is_changed(strata, data):
    count = data.draw(st.integers(1, strata.count))
    merged, stratum_map = strata.merged(count)
    assert merged.count == count and sorted(set(stratum_map)) == list(range(count)) and list(stratum_map) == sorted(stratum_map)
    assert set(merged.lower_bounds) <= set(strata.lower_bounds) and merged.lower_bounds[0] == strata.lower_bounds[0]
    for name in ("users", "events"):
        own, all_of_them = getattr(merged, name), getattr(strata, name)
        assert list(own) == [sum(n for n, z in zip(all_of_them, stratum_map, strict=True) if z == new) for new in range(count)]
    activity = np.arange(0, 260)
    assert merged.of(activity).tolist() == [-1 if z < 0 else stratum_map[z] for z in strata.of(activity).tolist()]
    assert merged.head_from == strata.head_from


@settings(max_examples=30)
@given(any_strata())
def test_as_many_as_there_are_changes_nothing(strata):
    assert strata.merged(strata.count) == (strata, tuple(range(strata.count)))


def test_two_are_tail_and_head():
    merged, stratum_map = FIVE.merged(2)
    assert merged.lower_bounds == (1, 9) and merged.names() == ("1-8", "9+")
    assert merged.users == (80, 20) and merged.events == (195, 330) and stratum_map == (0, 0, 0, 1, 1)
    assert merged.first_head == 1
    off_the_cuts = Strata(FIVE.lower_bounds, FIVE.users, FIVE.events, head_from=15)
    assert off_the_cuts.merged(2)[0].lower_bounds == (1, 20), "20 is nearer to 15 than 9 is, by ratio"
    above = Strata(FIVE.lower_bounds, FIVE.users, FIVE.events, head_from=99)
    assert above.merged(2)[0].lower_bounds == (1, 20)


def test_other_numbers_are_as_equal_as_single_cuts_can_make_them():
    assert FIVE.merged(3)[0].users == (50, 20, 30)
    assert FIVE.merged(1)[0].users == (100,) and FIVE.merged(1)[0].first_head == 1
    for count in (3, 4):
        merged, _ = FIVE.merged(count)
        borders = np.cumsum(merged.users)[:-1]
        naive = min(
            combinations(np.cumsum(FIVE.users)[:-1].tolist(), count - 1),
            key=lambda cuts: sum(abs(cut - 100 * k / count) for k, cut in enumerate(cuts, 1)),
        )
        assert tuple(borders.tolist()) == naive


def test_more_strata_than_there_are_is_refused():
    with pytest.raises(UserError, match=r"strata=7 is more than the data set has, 5; .*with strata=7 --overwrite"):
        FIVE.merged(7)


def test_everyone_is_served():
    late = Strata((5, 9), (1, 1), (1, 1), 9)
    assert late.of(np.array([0, 4, 5, 9])).tolist() == [-1, -1, 0, 1]
    assert late.serving(np.array([0, 4, 5, 9])).tolist() == [0, 0, 0, 1]
