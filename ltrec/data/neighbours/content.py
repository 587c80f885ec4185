"""Content: which items are alike by their columns. Cosine of the values that items hold, a rare value counting more:

    x[i, a]           = log(V / n_a) where item i holds value a, n_a items do
    similarity(i, j)  = cos(x_i, x_j) ^ power

(Salton & Buckley, "Term-weighting approaches in automatic text retrieval", 1988, for the weights.) A value that more than
`most_holders` items hold says little and would cost n_a^2 pairs: it is left out. No loop over items: the partners of a block of
items are gathered from the inverted index at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltrec.core.ragged import I64, prefix_sums, ragged, ranges_of_at_most

PAIRS = 1 << 22
"""Pairs of a block, at most, or those of a single item; each takes about 60 bytes while they are added up."""

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HeldValues:
    """The values that items hold: of any number of categorical columns, numbered apart.

    Attributes:
        values: int64, item after item, each value of an item once.
        offsets: int64 [V+2], item i, from 0 on, holds values[offsets[i]:offsets[i+1]]; item 0 is padding and holds none.
        count: F; values are 0..F-1.
    """

    values: I64
    offsets: I64
    count: int

    @property
    def num_items(self) -> int:
        """V."""
        return self.offsets.size - 2


def similar_items(held: HeldValues, *, power: float, most_holders: int, pairs: int = PAIRS) -> Iterator[tuple[I64, I64, F64]]:
    """Item, other item and similarity above 0 of all pairs, by item, then the other; a portion has all pairs of its items.

    Args:
        held: what the items hold.
        power: the higher, the more the nearest count.
        most_holders: values that more items hold are left out.
        pairs: of a portion, at most.
    """
    holders_F = np.bincount(held.values, minlength=held.count)
    item_P = np.repeat(np.arange(held.num_items + 1), np.diff(held.offsets))
    said = holders_F[held.values] <= most_holders
    value_P, item_P = held.values[said], item_P[said]
    weight_F = np.log(held.num_items / np.maximum(holders_F, 1)) ** 2
    norm_V = np.sqrt(np.bincount(item_P, weights=weight_F[value_P], minlength=held.num_items + 1))
    by_value, first_F = item_P[np.argsort(value_P, kind="stable")], prefix_sums(np.bincount(value_P, minlength=held.count))
    before_P = prefix_sums(holders_F[value_P])
    start_V = np.searchsorted(item_P, np.arange(held.num_items + 2))
    for low, high in ranges_of_at_most(before_P[start_V], pairs):
        value = value_P[start_V[low] : start_V[high]]
        item = np.repeat(item_P[start_V[low] : start_V[high]], holders_F[value])
        other = by_value[ragged(first_F[value], holders_F[value])]
        yield _similarities(item, other, np.repeat(weight_F[value], holders_F[value]), norm_V, power)


def _similarities(item: I64, other: I64, weight: F64, norm_V: F64, power: float) -> tuple[I64, I64, F64]:
    """Common values added up by pair, as cosines."""
    apart = (item != other) & (weight > 0)
    key = item[apart] * norm_V.size + other[apart]
    order = np.argsort(key, kind="stable")
    key, weight = key[order], weight[apart][order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    common = np.add.reduceat(weight, first) if first.size else weight
    item, other = key[first] // norm_V.size, key[first] % norm_V.size
    return item, other, np.minimum(common / (norm_V[item] * norm_V[other]), 1.0) ** power
