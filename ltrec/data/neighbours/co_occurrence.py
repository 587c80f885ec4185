"""Co-occurrence: which items are consumed by the same users, in any order. Item-based nearest neighbours by cosine (Sarwar et al.,
WWW 2001; Deshpande & Karypis, TOIS 2004), on the sets of users:

    similarity(i, j) = |U_i and U_j| / sqrt(|U_i| |U_j|)

where U_i are the users with i among their last training events. Only the last ones count, because a user with n items gives n^2
pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ltrec.core.ragged import distinct_pairs, ragged
from ltrec.data.neighbours.config import CoOccurrenceConfig
from ltrec.data.neighbours.events import UserEvents
from ltrec.data.neighbours.ties import I64
from ltrec.data.neighbours.transitions import Pairs, Weighted


class CoOccurrence:
    """Pairs of different items of a user, each counted as 1, and the cosine computed from their sums.

    Args:
        config: what is counted.
        num_items: V.
    """

    least_events = 1  # users with fewer are left out

    def __init__(self, config: CoOccurrenceConfig, num_items: int) -> None:
        self._last = config.last
        self._users = np.zeros(num_items + 1, np.int64)

    def pairs(self, events: UserEvents) -> Iterator[Pairs]:
        """Pairs in both directions, in portions of at most E."""
        row, item = self._sets(events)
        np.add.at(self._users, item, 1)
        early = np.arange(item.size)
        for distance in range(1, item.size):
            early = early[: np.searchsorted(early, item.size - distance)]
            early = early[row[early + distance] == row[early]]
            if not early.size:
                return
            one = np.ones(early.size, np.int64)
            yield item[early], item[early + distance], one
            yield item[early + distance], item[early], one

    def weighted(self, sums: Iterable[Pairs]) -> Iterator[Weighted]:
        """The cosine of pairs, from the numbers of users who have them; call it after all pairs have been counted."""
        for item, neighbour, total in sums:
            both = self._users[item].astype(np.float64) * self._users[neighbour]
            yield item, neighbour, np.asarray(total / np.sqrt(both), np.float32)

    def _sets(self, events: UserEvents) -> tuple[I64, I64]:
        """User numbers and distinct items of each, both sorted."""
        lengths = np.minimum(np.diff(events.offsets), self._last)
        items = events.items[ragged(events.offsets[1:] - lengths, lengths)]
        row = np.repeat(np.arange(lengths.size), lengths)
        return distinct_pairs(row, items)
