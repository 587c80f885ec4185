"""Content similarity of items: the cosine of their categorical values, with rare values weighted more (inverse document frequency):

    x[i, a]           = log(V / n_a) if item i has value a, as n_a items do
    similarity(i, j)  = cos(x_i, x_j) ^ power

(Salton & Buckley, "Term-weighting approaches in automatic text retrieval", 1988, for the weights.) Values of more than
`most_holders` items carry little information and would cost n_a^2 pairs, so they are left out. There is no loop over items: the
partners of a block of items are gathered from the inverted index at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltrec.core.ragged import I64, prefix_sums, ragged, ranges_of_at_most

PAIRS = 1 << 22
"""Most pairs per block, unless a single item has more; each takes about 60 bytes while they are summed."""

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HeldValues:
    """The categorical values of items; values of different columns have different numbers.

    Attributes:
        values: int64, item after item, without repeats within an item.
        offsets: int64 [V+2], item i >= 0 has values[offsets[i]:offsets[i+1]]; item 0 is padding and has none.
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
    """All pairs of similar items as (item, other item, similarity > 0), sorted by both; each block has all pairs of its items.

    Args:
        held: values of the items.
        power: exponent of the cosine; larger values favour the most similar items.
        most_holders: values of more items are left out.
        pairs: most pairs per block.
    """
    holders_F = np.bincount(held.values, minlength=held.count)
    item_P = np.repeat(np.arange(held.num_items + 1), np.diff(held.offsets))
    kept = holders_F[held.values] <= most_holders
    value_P, item_P = held.values[kept], item_P[kept]
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
    """Sum the weights of shared values by pair, and turn them into cosines."""
    apart = (item != other) & (weight > 0)
    key = item[apart] * norm_V.size + other[apart]
    order = np.argsort(key, kind="stable")
    key, weight = key[order], weight[apart][order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    common = np.add.reduceat(weight, first) if first.size else weight
    item, other = key[first] // norm_V.size, key[first] % norm_V.size
    return item, other, np.minimum(common / (norm_V[item] * norm_V[other]), 1.0) ** power
