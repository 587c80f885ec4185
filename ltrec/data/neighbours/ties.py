"""Expected weights of pairs of events whose order is unknown.

Events of a user with the same time form a *tie*; a single event is a tie of size 1. With all orders of a tie equally likely, the
weight of a pair is the expectation over the orders of w(g) = decay^(g-1) [g <= max_gap]:

    inside a tie of a events        one event comes g places before the other with probability (a - g) / (a (a - 1))
    x in a tie of a, y in a later   r events of the first tie come after x, s of the second before y, each of them uniform over
    tie of b, c events between      0..a-1 and 0..b-1, and independent: g = 1 + r + c + s

so the weight of a pair depends only on a, or on a, b and c, and not on the order of rows. Without ties it is w(g).

Ties of more than `LARGEST_TIE` events would need a^2 pairs; their events are put into one order instead, by a hash of user and
item. That is unbiased, also independent of the order of rows, and bounds the number of partners of an event.

Weights are integer multiples of 2^-28, so that sums are exact in any order; a float64 represents each weight exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

LARGEST_TIE = 32
ONE = 1 << 28
"""The weight 1, in these units. Sums stay below 2^63 for up to four billion events of one item."""


@dataclass(frozen=True, slots=True)
class TieWeights:
    """Expected weights in units of 1 / ONE.

    Attributes:
        inside_A: int64 [A+1], weight of an ordered pair inside a tie of a events.
        across_ABC: int64 [A+1, A+1, max_gap], weight of a pair from ties of a and b events with c events between them.
    """

    inside_A: I64
    across_ABC: I64

    @staticmethod
    def of(decay: float, max_gap: int, share: float = 1.0) -> TieWeights:
        """Tables for ties of up to `LARGEST_TIE` events.

        Args:
            decay: factor per further event of gap.
            max_gap: the largest gap that is counted.
            share: factor on every weight.
        """
        gap_weight = np.zeros(max_gap + 2 * LARGEST_TIE)
        gap_weight[:max_gap] = np.cumprod([1.0, *[decay] * (max_gap - 1)])
        inside_A, across_ABC = _inside(gap_weight), _across(gap_weight)[..., :max_gap]
        return TieWeights(_fixed(share * inside_A), _fixed(share * across_ABC))


def _inside(gap_weight: Floats) -> Floats:
    """By size a of the tie: the sum over gaps g of the probability (a - g) / (a (a - 1)), if positive, times the weight of g."""
    size, gap = np.arange(LARGEST_TIE + 1), np.arange(1, LARGEST_TIE + 1)
    chance = np.maximum(size[:, None] - gap, 0) / np.maximum(size * (size - 1), 1)[:, None]
    total: Floats = np.cumsum(chance * gap_weight[:LARGEST_TIE], axis=1)[:, -1]  # sequential, so the same on every machine
    return total


def _across(gap_weight: Floats) -> Floats:
    """By sizes of both ties and events between them: the weights of gaps 1 + c + r + s, averaged over r, then over s."""
    return _averages(_averages(gap_weight[None])[0]).swapaxes(0, 1)


def _averages(values: Floats) -> Floats:
    """For rows [R, L]: the mean of the n values from each position on, for n = 0 .. A (0 for n = 0), [R, A+1, L-A]."""
    lengths, places = np.arange(LARGEST_TIE + 1)[:, None], np.arange(values.shape[1] - LARGEST_TIE)
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    return np.asarray((sums[:, places + lengths] - sums[:, places][:, None]) / np.maximum(lengths, 1))


def _fixed(weights: Floats) -> I64:
    return np.rint(weights * ONE).astype(np.int64)
