"""Windows: runs of events cut out of flat arrays, a row each; every position's target is the event after it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ltrec.core import columns as c
from ltrec.core.ragged import I64, prefix_sums, ragged
from ltrec.data.stream.reading.rows import Values


class Windows:
    """B rows of T positions.

    Args:
        events: arrays over all events by their names on disk.
        start: where each row begins in them [B].
        length: positions of each row [B]; it holds one event more.
        stratum: of each row [B], 0..K-1.
        unit: what an example is, `target` or `user`.
    """

    def __init__(self, events: Mapping[str, Values], start: I64, length: I64, stratum: I64, unit: str) -> None:
        self._events, self._length, self._unit = events, length, unit
        self._read = ragged(start, length)
        self._after = self._read + 1
        self.stratum, self.offsets = stratum, prefix_sums(length)
        self._counts = events[c.TARGET][self._after] if c.TARGET in events else None

    def items(self) -> I64:
        """The item of every position [T]."""
        items: I64 = self._events[c.ITEMS][self._read].astype(np.int64)
        return items

    def targets(self) -> I64:
        """The item that came next [T], 0 where that event is not a target."""
        items: I64 = self._events[c.ITEMS][self._after].astype(np.int64)
        return items if self._counts is None else np.where(self._counts, items, c.PAD)

    def columns(self, names: Mapping[str, str]) -> dict[str, Values]:
        """Columns of the positions' own events [T] or [T, w]: name in a batch -> name on disk."""
        return {name: self._events[place][self._read] for name, place in names.items()}

    def examples(self, num_strata: int) -> I64:
        """Examples of each stratum [K]: targets, or rows that have one."""
        each = self._length if self._counts is None else self._targets_of_rows()
        if self._unit == "user":
            each = np.minimum(each, 1)
        return np.bincount(self.stratum, weights=each, minlength=num_strata).astype(np.int64)

    def _targets_of_rows(self) -> I64:
        assert self._counts is not None
        before = prefix_sums(self._counts.astype(np.int64))
        return before[self.offsets[1:]] - before[self.offsets[:-1]]

    def weights(self) -> Values | None:
        """Weight of every position's target, float32 [T]; None where events have none."""
        return self._events[c.WEIGHT][self._after] if c.WEIGHT in self._events else None

    def sums_of_weights(self, num_strata: int) -> Values | None:
        """Sums of the weights of the examples of each stratum, and of their squares, float64 [2, K]; None where examples weigh one
        each, as users do."""
        weights = self.weights()
        if weights is None or self._unit == "user":
            return None
        stratum, own = np.repeat(self.stratum, self._length)[self._counts], weights[self._counts].astype(np.float64)
        return np.stack([np.bincount(stratum, weights=values, minlength=num_strata) for values in (own, own**2)])
