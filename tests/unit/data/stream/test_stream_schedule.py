"""Schedule and quotas: exact in both sums, closed forms equal to counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.data.stream.order.quotas import resolve_quotas
from ltrec.data.stream.order.schedule import Schedule


@st.composite
def schedules(draw):
    lanes = draw(st.integers(1, 7))
    total = lanes * draw(st.integers(1, 4))
    cuts = sorted(draw(st.lists(st.integers(1, total - 1), max_size=3, unique=True))) if total > 1 else []
    return [b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)], lanes


@settings(max_examples=50)
@given(schedules(), st.integers(0, 1000))
def test_both_sums_are_exact_and_a_cycle_is_fair(case, step):
    quotas, lanes = case
    schedule = Schedule(quotas, lanes)
    table = np.array([schedule.counts(step, pool) for pool in range(len(quotas))])
    assert table.sum(axis=0).tolist() == [sum(quotas) // lanes] * lanes
    assert table.sum(axis=1).tolist() == quotas
    for pool, quota in enumerate(quotas):
        assert sum(schedule.counts(step + k, pool) for k in range(lanes)).tolist() == [quota] * lanes


@settings(max_examples=50)
@given(schedules())
def test_closed_forms_equal_counting(case):
    quotas, lanes = case
    schedule = Schedule(quotas, lanes)
    for pool in range(len(quotas)):
        drawn, number = np.zeros(lanes, int), 0
        for step in range(2 * lanes + 1):
            firsts = schedule.first_draws(step, pool)
            for lane in range(lanes):
                assert number == firsts[lane]
                for _ in range(schedule.counts(step, pool)[lane]):
                    assert schedule.drawn_before(number, pool).tolist() == drawn.tolist()
                    drawn[lane] += 1
                    number += 1
            assert number == firsts[-1]


def test_the_example_of_the_docstring():
    schedule = Schedule((5, 3), 4)
    assert schedule.counts(0, 0).tolist() == [2, 1, 1, 1]
    assert schedule.counts(1, 0).tolist() == [1, 2, 1, 1]
    assert schedule.first_slots(1, 1, range(4)).tolist() == [1, 4, 5, 7]
    assert schedule.first_slots(1, 1, range(2, 4)).tolist() == [1, 3]


def test_quotas_as_rows_shares_or_nothing():
    assert resolve_quotas((10, 14), [5, 5], 24) == (10, 14)
    assert resolve_quotas((0.5, 0.3, 0.2), [5, 5, 5], 24) == (12, 7, 5)
    assert resolve_quotas((), [5, 0, 5], 24) == (12, 0, 12)
    assert resolve_quotas((1.0, 0.0), [5, 5], 24) == (24, 0)
    assert resolve_quotas((1,), [5], 1) == (1,)


@pytest.mark.parametrize(
    ("quotas", "message"),
    [
        ((0.5, 0.5), "has 2 numbers, the data has 3 strata"),
        ((10, 10, 5), "sum to 25; they must sum to `batch_rows`=24"),
        ((-0.5, 0.5, 1.0), "negative"),
        ((8, 8, 8), "requests 8 rows of stratum 1"),
        ((0.999, 0.0, 0.001), "less than one"),
    ],
)
def test_impossible_quotas_are_refused(quotas, message):
    with pytest.raises(UserError, match=message):
        resolve_quotas(quotas, [5, 0, 5], 24)
