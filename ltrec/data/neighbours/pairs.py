"""The training events of some users -> weighted pairs of items, tie by tie. No Python loop over users.

Event e of the flat array belongs to the tie [first[e], last[e]) and to the user whose events end at end[e]. Partners of e are
visited by their distance q - e = 1, 2, ...: as soon as one is out of reach all later ones are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ltrec.core.hashing import mix_array
from ltrec.data.neighbours.config import NeighboursConfig
from ltrec.data.neighbours.ties import I64, LARGEST_TIE, TieWeights

_ORDER = 0x54494553  # keeps these hashes apart from those of other purposes


@dataclass(frozen=True, slots=True)
class Events:
    """Training events of R users, oldest first: items and times int64 [E], offsets int64 [R+1], user_key int64 [R]."""

    items: I64
    times: I64
    offsets: I64
    user_key: I64


class TransitionPairs:
    """Events -> (item, neighbour, weight in units of `ties.ONE`): the terms of M = F + backward_share F^T."""

    def __init__(self, config: NeighboursConfig) -> None:
        self._max_gap = config.max_gap
        self._ahead = TieWeights.of(config.gap_decay, config.max_gap)
        self._back = TieWeights.of(config.gap_decay, config.max_gap, config.backward_share)

    def __call__(self, events: Events) -> Iterator[tuple[I64, I64, I64]]:
        """Pairs of different items, in portions of at most E; none of weight 0."""
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
            near = between < self._max_gap
            early, late, together, between = early[near], late[near], together[near], between[near]
            if not early.size:
                return
            across = size[early], size[late], between
            ahead = np.where(together, self._ahead.inside_A[size[early]], self._ahead.across_ABC[across])
            back = np.where(together, self._back.inside_A[size[early]], self._back.across_ABC[across])
            both = ahead + np.where(together, back, 0)
            yield from _without_diagonal(items[early], items[late], both)
            yield from _without_diagonal(items[late], items[early], np.where(together, both, back))


def _without_diagonal(item: I64, neighbour: I64, weight: I64) -> Iterator[tuple[I64, I64, I64]]:
    kept = (item != neighbour) & (weight > 0)
    if kept.any():
        yield item[kept], neighbour[kept], weight[kept]


def _ordered(events: Events) -> tuple[I64, I64, I64]:
    """Items, and where the tie of each begins and ends; large ties are put into an order of chance, which leaves none."""
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
    """The items of every tie in the order of a hash of user and item, whatever their order was."""
    chance = mix_array(_ORDER, mix_array(0, user_key) ^ items.astype(np.uint64))
    return items[np.lexsort((items, chance, tie))]
