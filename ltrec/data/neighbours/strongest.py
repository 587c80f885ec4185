"""The largest weights of every item, from weighted pairs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ltrec.data.neighbours.ties import I64


class Strongest:
    """The neighbours of largest weight of every item: ids int32 and weights float32 [V+1, N]."""

    def __init__(self, num_items: int, neighbours: int) -> None:
        self.item_VN = np.zeros((num_items + 1, neighbours), np.int32)
        self.weight_VN = np.zeros((num_items + 1, neighbours), np.float32)

    def take(self, item: I64, neighbour: I64, weight: npt.NDArray[np.float32]) -> None:
        """Add all pairs of some items, sorted by item, then neighbour."""
        place = places_by_weight(item, weight)
        kept = place < self.item_VN.shape[1]
        self.item_VN[item[kept], place[kept]] = neighbour[kept]
        self.weight_VN[item[kept], place[kept]] = weight[kept]


def places_by_weight(item: I64, weight: npt.NDArray[np.float32]) -> I64:
    """The place of every pair among those of its item, 0 for the largest weight; equal weights keep their order.

    Args:
        item: ascending.
        weight: positive.
    """
    # The bit patterns of positive floats are ordered like the floats: one stable sort instead of three.
    order = np.argsort(item << 32 | ((1 << 32) - 1 - weight.view(np.uint32).astype(np.int64)), kind="stable")
    first = np.flatnonzero(np.diff(item, prepend=-1))
    places = np.empty_like(order)
    places[order] = np.arange(order.size) - np.repeat(first, np.diff(first, append=order.size))
    return places
