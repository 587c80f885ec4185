"""Pairs -> their sums. Whole numbers are added, so the result does not depend on the order in which pairs come."""

from __future__ import annotations

import numpy as np

from ltrec.data.neighbours.ties import I64

_ROWS = 1 << 22


class PairSums:
    """Sums of weights by (item, neighbour).

    Args:
        num_items: V; ids are 1..V.
        rows: pairs collected before they are added up.
    """

    def __init__(self, num_items: int, rows: int = _ROWS) -> None:
        self._width, self._rows = num_items + 1, rows
        self._parts: list[tuple[I64, I64]] = []
        self._waiting = 0

    def add(self, item: I64, neighbour: I64, weight: I64) -> None:
        """Take pairs [P] in."""
        self._parts.append((item * self._width + neighbour, weight))
        self._waiting += weight.size
        if self._waiting >= self._rows:
            self._compact()

    def total(self) -> tuple[I64, I64, I64]:
        """Item, neighbour and sum of every pair that occurred, by item, then neighbour."""
        self._compact()
        key, weight = self._parts[0]
        return key // self._width, key % self._width, weight

    def _compact(self) -> None:
        nothing = np.zeros(0, np.int64)
        key = np.concatenate([nothing, *(key for key, _ in self._parts)])
        weight = np.concatenate([nothing, *(weight for _, weight in self._parts)])
        self._parts, self._waiting = [added(key, weight)], 0


def added(key: I64, weight: I64) -> tuple[I64, I64]:
    """Distinct keys, ascending, and the sum of the weights of each."""
    order = np.argsort(key)
    key, weight = key[order], weight[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    return key[first], np.add.reduceat(weight, first) if first.size else weight
