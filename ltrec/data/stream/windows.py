"""Windows: the runs of events that training rows are cut from; every position's target is the event after it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ltrec.core import columns as c
from ltrec.core.ragged import I64, prefix_sums
from ltrec.data.stream.reading.rows import Values
from ltrec.data.stream.runs.runs import Runs


class Windows:
    """R rows of T positions, of several steps one after the other.

    Args:
        events: arrays by their names on disk.
        starts: where in them each row's window begins [R].
        length: positions of each row [R]; its window holds one event more.
        stratum: of each row [R], 0..K-1.
        unit: what an example is, `target` or `user`.
        steps: how many steps; each has equally many rows.
    """

    def __init__(self, events: Mapping[str, Values], starts: I64, length: I64, stratum: I64, unit: str, steps: int = 1) -> None:
        self._events, self._unit, self._steps = events, unit, steps
        self.length, self.stratum = length, stratum
        self._runs = Runs(starts, starts + length, len(events[c.ITEMS]))
        self._counts = self._after(events[c.TARGET]) if c.TARGET in events else None

    @property
    def positions(self) -> int:
        """T."""
        return int(self.length.sum())

    def items_and_targets(self, into: I64) -> None:
        """Write the item of every position, and the item that came next, 0 where that event is not a target, [2, T]."""
        items = self._events[c.ITEMS]
        into[0], into[1] = self._own(items), self._after(items)
        if self._counts is not None:
            into[1][~self._counts] = c.PAD

    def columns(self, names: Mapping[str, str]) -> dict[str, Values]:
        """Columns of the positions' own events [T] or [T, w]: name in a batch -> name on disk."""
        return {name: self._own(self._events[place]) for name, place in names.items()}

    def examples(self, num_strata: int) -> I64:
        """Examples of each stratum in each step [S, K]: targets, or rows that have one."""
        each = self.length if self._counts is None else self._targets_of_rows()
        if self._unit == "user":
            each = np.minimum(each, 1)
        examples: I64 = self._sums(self._of_steps(self.stratum, num_strata), each, num_strata).astype(np.int64)
        return examples

    def _targets_of_rows(self) -> I64:
        assert self._counts is not None
        before, ends = prefix_sums(self._counts.astype(np.int64)), np.cumsum(self.length)
        targets: I64 = before[ends] - before[ends - self.length]
        return targets

    def weights(self) -> Values | None:
        """Weight of every position's target, float32 [T]; None where events have none."""
        return self._after(self._events[c.WEIGHT]) if c.WEIGHT in self._events else None

    def sums_of_weights(self, num_strata: int) -> tuple[Values, Values] | None:
        """Sums of the weights of the examples of each stratum in each step, and of their squares, float64 [S, K]; None where
        examples weigh one each, as users do."""
        weights = self.weights()
        if weights is None or self._unit == "user":
            return None
        place = np.repeat(self._of_steps(self.stratum, num_strata), self.length)[self._counts]
        own = weights[self._counts].astype(np.float64)
        return self._sums(place, own, num_strata), self._sums(place, own**2, num_strata)

    def _of_steps(self, stratum: I64, num_strata: int) -> I64:
        """Number of each row's (step, stratum)."""
        return np.repeat(np.arange(self._steps) * num_strata, stratum.size // self._steps) + stratum

    def _sums(self, place: I64, values: Values, num_strata: int) -> Values:
        return np.bincount(place, weights=values, minlength=self._steps * num_strata).reshape(self._steps, num_strata)

    def _own(self, values: Values) -> Values:
        """Of all positions' events."""
        return self._runs.of(values)

    def _after(self, values: Values) -> Values:
        """Of the events after all positions."""
        return self._runs.of(values, 1)
