"""How many distinct rows of a table a step touches, where no counts of a data set are known."""

from __future__ import annotations

import math
from itertools import pairwise

EXPONENT = 0.8
"""Popularity by rank, 1/rank^.8: what benchmarks/rows.py draws from; real logs are near it."""

_BINS_PER_OCTAVE = 16


def expected_distinct(draws: float, items: int, exponent: float = EXPONENT) -> float:
    """E[distinct items] of independent draws by popularity 1/rank^exponent.

        sum_v 1 - (1 - q_v)^draws

    Ranks are taken together in bins of nearly equal popularity, so a hundred million items cost as little as a thousand.

    Args:
        draws: their number.
        items: V.
        exponent: 0 = uniform.
    """
    bins = list(_bins(items))
    total = math.fsum(count * middle**-exponent for count, middle in bins)
    return math.fsum(-count * math.expm1(draws * math.log1p(-min(middle**-exponent / total, 1 - 1e-12))) for count, middle in bins)


def most_distinct(draws: float, items: int) -> float:
    """An upper bound: every draw another item."""
    return min(float(items), draws)


def _bins(items: int) -> list[tuple[int, float]]:
    """(how many ranks, their middle), the first ranks one by one."""
    edges = sorted({min(items, round(2 ** (n / _BINS_PER_OCTAVE))) for n in range(round(_BINS_PER_OCTAVE * math.log2(items)) + 2)})
    return [(1, 1.0), *((b - a, (a + b + 1) / 2) for a, b in pairwise(edges))]
