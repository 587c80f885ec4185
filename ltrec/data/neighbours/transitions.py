"""Transitions: which items follow which. Vectorised, without a loop over users.

Event e of the flat array belongs to the tie [first[e], last[e]) and to the user whose events end at end[e]. Partners of e are
visited by their distance q - e = 1, 2, ...; once a partner is too far away, so are all later ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from ltrec.core.hashing import mix_array
from ltrec.data.neighbours.config import NeighboursConfig
from ltrec.data.neighbours.events import UserEvents
from ltrec.data.neighbours.regression import Regression
from ltrec.data.neighbours.ties import I64, LARGEST_TIE, ONE, Floats, TieWeights

_ORDER = 0x54494553  # distinguishes these hashes from those for other purposes

Pairs = tuple[I64, I64, I64]
"""Items, their neighbours, and the weight of each pair as an integer."""

Weighted = tuple[I64, I64, npt.NDArray[np.float32]]
"""Items, their neighbours, and the final weight of each pair, above 0."""


class Transitions:
    """The terms of M = F + backward_share F^T (`NeighboursConfig`), in units of 1 / `ties.ONE`, and the weights of their sums.

    Args:
        config: what is counted.
        num_items: V.
    """

    least_events = 2  # users with fewer are left out

    def __init__(self, config: NeighboursConfig, num_items: int) -> None:
        self._config = config
        self._ahead = TieWeights.of(config.gap_decay, config.max_gap)
        self._back = TieWeights.of(config.gap_decay, config.max_gap, config.backward_share)
        self._row_sum, self._column_sum, self._events = (np.zeros(num_items + 1, np.int64) for _ in range(3))

    def pairs(self, events: UserEvents) -> Iterator[Pairs]:
        """Pairs of different items, in portions of at most E, without weights of 0."""
        np.add.at(self._events, events.items, 1)
        for early, late, ahead, back in self._both_ways(events):
            yield from self._counted(early, late, ahead)
            yield from self._counted(late, early, back)

    def weighted(self, sums: Iterable[Pairs]) -> Iterator[Weighted]:
        """The weights of pairs, from the sums of their terms, portions sorted by item, then neighbour, each with all pairs of its
        items; call it after all pairs have been counted."""
        if self._config.ridge:
            yield self._regressed(sums)
            return
        for item, neighbour, total in sums:
            rows = (self._row_sum[item] / ONE) ** self._config.row_power
            yield item, neighbour, np.asarray(total / ONE / (rows * self._columns(neighbour)), np.float32)

    def _regressed(self, sums: Iterable[Pairs]) -> Weighted:
        """All pairs that the regression gives a weight."""
        regression = Regression(self._events, self._config.ridge, self._config.sources, self._config.backward_share)
        for pairs in sums:
            regression.add(*pairs)
        nothing = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        item, neighbour, weight = (np.concatenate(each) for each in zip(nothing, *regression.weights(), strict=True))
        order = np.lexsort((neighbour, item))
        item, neighbour, weight = item[order], neighbour[order], weight[order] / self._columns(neighbour[order])
        return item, neighbour, weight.astype(np.float32)

    def _columns(self, neighbour: I64) -> Floats:
        powers: Floats = (self._column_sum[neighbour] / ONE) ** self._config.column_power
        return powers

    def _both_ways(self, events: UserEvents) -> Iterator[tuple[I64, I64, I64, I64]]:
        """Items of an earlier and a later event, and the weights of the pair in both directions."""
        items, first, last = _ordered(events)
        size = last - first
        early = np.arange(items.size)
        end = np.repeat(events.offsets[1:], np.diff(events.offsets))
        for distance in range(1, items.size):
            late = early + distance
            within = late < end[early]
            early, late = early[within], late[within]
            together = first[early] == first[late]
            between = np.where(together, 0, first[late] - last[early])
            near = between < self._config.max_gap
            early, late, together, between = early[near], late[near], together[near], between[near]
            if not early.size:
                return
            across = size[early], size[late], between
            ahead = np.where(together, self._ahead.inside_A[size[early]], self._ahead.across_ABC[across])
            back = np.where(together, self._back.inside_A[size[early]], self._back.across_ABC[across])
            either = ahead + back
            yield items[early], items[late], np.where(together, either, ahead), np.where(together, either, back)

    def _counted(self, item: I64, neighbour: I64, weight: I64) -> Iterator[Pairs]:
        kept = (item != neighbour) & (weight > 0)
        if kept.any():
            item, neighbour, weight = item[kept], neighbour[kept], weight[kept]
            np.add.at(self._row_sum, item, weight)
            np.add.at(self._column_sum, neighbour, weight)
            yield item, neighbour, weight


def _ordered(events: UserEvents) -> tuple[I64, I64, I64]:
    """Items, and where the tie of each begins and ends; large ties get a random order and are then not ties."""
    items, times, offsets = events.items, events.times, events.offsets
    row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    begins = np.ones(items.size, bool)
    begins[1:] = (times[1:] != times[:-1]) | (row[1:] != row[:-1])
    tie = np.cumsum(begins) - 1
    borders = np.append(np.flatnonzero(begins), items.size)
    large = np.diff(borders)[tie] > LARGEST_TIE
    if large.any():
        items = items.copy()
        items[large] = _shuffled(items[large], tie[large], events.user_key[row[large]])
        begins |= large
        tie = np.cumsum(begins) - 1
        borders = np.append(np.flatnonzero(begins), items.size)
    return items, borders[tie], borders[tie + 1]


def _shuffled(items: I64, tie: I64, user_key: I64) -> I64:
    """The items of every tie, sorted by a hash of user and item."""
    chance = mix_array(_ORDER, mix_array(0, user_key) ^ items.astype(np.uint64))
    return items[np.lexsort((items, chance, tie))]
