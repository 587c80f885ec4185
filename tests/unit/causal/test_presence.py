"""Presence: against an enumeration of all orders, and against 1 - (1 - q)^B for many users."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.causal.presence import presence


def enumerated(rows_K, drawn):
    """Share of windows with each stratum, over all orders of the passes that it can touch; windows begin at 0, B, ... mod n."""
    labels = [z for z, rows in enumerate(rows_K) for _ in range(rows)]
    starts = {k * drawn % len(labels) for k in range(len(labels))}
    seen, windows = [0] * len(rows_K), 0
    for passes in product(list(permutations(labels)), repeat=1 + -(-drawn // len(labels))):
        draws = [z for order in passes for z in order]
        for start in starts:
            window = set(draws[start : start + drawn])
            seen = [count + (z in window) for z, count in enumerate(seen)]
            windows += 1
    return [Fraction(count, windows) for count in seen]


@pytest.mark.parametrize(
    ("rows", "drawn"), [([3, 1], 2), ([3, 1], 3), ([2, 1, 1], 1), ([2, 1, 1], 3), ([3, 1], 5), ([2, 1], 4), ([4], 3), ([0, 3], 2)]
)
def test_equal_to_enumeration(rows, drawn):
    assert presence(torch.tensor(rows), drawn).tolist() == pytest.approx([float(p) for p in enumerated(rows, drawn)], abs=1e-12)


@pytest.mark.parametrize("drawn", [1, 64, 1000])
def test_for_many_users_the_draws_are_as_good_as_independent(drawn):
    rows = torch.tensor([799_999_000, 190_000_000, 10_000_000, 1_000])
    independent = -torch.expm1(drawn * torch.log1p(-rows.double() / rows.sum()))
    assert torch.allclose(presence(rows, drawn), independent, rtol=1e-5)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(1, 200), st.randoms(use_true_random=False))
def test_bounds_and_labels(rows, drawn, random):
    rows_K = torch.tensor(rows)
    found = presence(rows_K, drawn)
    independent = 1 - (1 - rows_K / max(1, sum(rows))).double() ** drawn
    assert (found >= independent - 1e-6).all(), "without replacement nobody is drawn twice, so more strata come"
    assert (found <= 1 + 1e-12).all()
    assert torch.equal(found > 0, rows_K > 0)
    order = random.sample(range(len(rows)), len(rows))
    assert torch.allclose(presence(rows_K[order], drawn), found[order], rtol=1e-12)


def test_a_pool_of_its_own_is_always_there_and_no_draws_never():
    assert presence(torch.tensor([7]), 1).tolist() == [1.0]
    assert presence(torch.tensor([7, 9]), 0).tolist() == [0.0, 0.0]
    assert presence(torch.tensor([7, 9]), 31)[0] == 1.0, "31 draws hold a whole pass of 16"
