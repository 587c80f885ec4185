"""Item popularity: how often each item occurs in training, in a form small enough for a file's metadata.

Dense item ids are assigned by descending training count, so the counts are a descending step function of the id, stored as a few
(count, number of items) pairs however many items there are. In a data set that was appended to, ids stay and counts do not: there
are as many pairs as runs of neighbouring items with equal counts. Popularity classes end at distinct counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ltrec.core.errors import UserError

Ints = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class ItemCatalogue:
    """Items 1..V in runs of equal training counts.

    Attributes:
        counts: the training count of each run.
        items: number of items in each.
    """

    counts: tuple[int, ...]
    items: tuple[int, ...]

    @staticmethod
    def of(train_count: Tensor) -> ItemCatalogue:
        """From the vocabulary's training counts [V+1]; entry 0 is padding."""
        count_V = train_count[1:].cpu().numpy()
        begins = np.flatnonzero(np.append(True, np.diff(count_V) != 0))
        return ItemCatalogue(tuple(count_V[begins].tolist()), tuple(np.diff(np.append(begins, count_V.size)).tolist()))

    @property
    def num_items(self) -> int:
        """V."""
        return sum(self.items)

    @property
    def num_seen(self) -> int:
        """Items with training events: ids 1 to this.

        Raises:
            UserError: other items lie between them.
        """
        if any(later and not count for count, later in pairwise(self.counts)):
            raise UserError(
                "`candidates`=seen: in a data set that was appended to, items without training events may have lower ids "
                "than others; use `candidates`=all, or prepare all events anew"
            )
        return sum(items for count, items in zip(self.counts, self.items, strict=True) if count)

    def count_of(self, items: Ints) -> npt.NDArray[np.int64]:
        """Training count of each item id (1..V). Shape kept."""
        step = np.searchsorted(np.cumsum(self.items), items, side="left")
        return np.asarray(self.counts, dtype=np.int64)[step]

    def class_bounds(self, shares: Sequence[float]) -> tuple[int, ...]:
        """Smallest training count of each popularity class, rarest class first; the first bound is 0.

        A class ends at the distinct count whose cumulative share of the training events, most popular items first, is nearest to a
        given share. Items without training events, if any, form a separate class. Ties may result in fewer classes.
        """
        cuts = {self._cut(share) for share in shares}
        lowest = min((n for n in self.counts if n), default=0)
        seen = {n for n in cuts if n > lowest}
        return (0, *sorted(seen | {1} if min(self.counts) == 0 and lowest else seen))

    def _cut(self, share: float) -> int:
        """The distinct count at which the cumulative share of events, most popular first, is nearest to `share`."""
        distinct, run = np.unique(self.counts, return_inverse=True)
        counts = distinct[::-1]
        events = np.cumsum(counts * np.bincount(run, self.items).astype(np.int64)[::-1])
        return int(counts[np.abs(events - share * events[-1]).argmin()])

    def tail_below(self, shares: Sequence[float]) -> int:
        """Tail items, those beyond the last cut, have fewer training events than this."""
        return max(1, self._cut(max(shares)))

    def class_names(self, shares: Sequence[float]) -> tuple[str, ...]:
        """Readable ranges of training counts, such as ``0``, ``1-7``, ``8-30``, ``31+``, rarest first."""
        bounds = self.class_bounds(shares)
        lows = (bounds[0] if 0 in self.counts else max(1, min(self.counts)), *bounds[1:])
        ends = [*(b - 1 for b in bounds[1:]), None]
        return tuple(f"{lo}+" if hi is None else (f"{lo}" if lo == hi else f"{lo}-{hi}") for lo, hi in zip(lows, ends, strict=True))

    def class_of(self, counts: Ints, shares: Sequence[float]) -> npt.NDArray[np.int64]:
        """Popularity class of each training count, 0 = rarest. Shape kept."""
        return np.searchsorted(np.asarray(self.class_bounds(shares)), counts, side="right") - 1
