"""Pairs of events whose order is not known: what is their expected weight?

Events of one user at one time form a *tie*; a single event is a tie of size 1. With every order of a tie equally likely, a pair
counts by the expectation over the orders of w(g) = decay^(g-1) [g <= max_gap]:

    inside a tie of a events        one event comes g places before the other with probability (a - g) / (a (a - 1))
    x in a tie of a, y in a later   r events of the first tie come after x, s of the second before y, each of them uniform over
    tie of b, c events between      0..a-1 and 0..b-1, and independent: g = 1 + r + c + s

so the weight of a pair depends on a, or on a, b and c, alone: nothing that the order of rows could change. Without ties it is w(g).

Ties of more than `LARGEST_TIE` events would take a^2 pairs; they are put into one order instead, drawn by a hash of user and item.
That is unbiased, does not look at the order of rows either, and bounds the partners of an event.

Weights are whole multiples of 2^-28, so that sums of them are exact in any order; a float64 holds each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

LARGEST_TIE = 32
ONE = 1 << 28
"""The weight 1. Sums stay below 2^63 up to four billion events of one item."""


@dataclass(frozen=True, slots=True)
class TieWeights:
    """Expected weights in units of 1 / ONE.

    Attributes:
        inside_A: int64 [A+1], of an ordered pair in a tie of a events.
        across_ABC: int64 [A+1, A+1, max_gap], of a pair in ties of a and b events with c events between them.
    """

    inside_A: I64
    across_ABC: I64

    @staticmethod
    def of(decay: float, max_gap: int, share: float = 1.0, largest: int = LARGEST_TIE) -> TieWeights:
        """Tables for ties of up to `largest` events.

        Args:
            decay: per event of the gap.
            max_gap: the largest gap that counts.
            share: multiplies every weight.
            largest: A.
        """
        gap_weight = decay ** np.arange(max_gap, dtype=np.float64)
        inside, across = np.zeros(largest + 1), np.zeros((largest + 1, largest + 1, max_gap))
        for a in range(1, largest + 1):
            if a > 1:
                gaps = np.arange(1, min(a - 1, max_gap) + 1)
                inside[a] = ((a - gaps) * gap_weight[gaps - 1]).sum() / (a * (a - 1))
            for b in range(1, largest + 1):
                across[a, b] = _across(a, b, gap_weight)
        return TieWeights(_fixed(share * inside), _fixed(share * across))


def _across(a: int, b: int, gap_weight: Floats) -> Floats:
    """Expected weight by number of events between the ties: the weights of the gaps c + 1 + r + s, averaged over r and s."""
    chance = np.convolve(np.full(a, 1 / a), np.full(b, 1 / b))  # of r + s
    padded = np.concatenate([gap_weight, np.zeros(len(chance) - 1)])
    return np.correlate(padded, chance, mode="valid")


def _fixed(weights: Floats) -> I64:
    return np.rint(weights * ONE).astype(np.int64)
