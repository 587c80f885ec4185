"""Training statistics of event and user columns, accumulated while blocks stream by: counts of categories, moments of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ltrec.columns.kinds.kind import Values
from ltrec.columns.schema import MISSING, UNKNOWN
from ltrec.columns.statistics import Moments
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.sorting.grouping import UserBlock


class Tally:
    """Statistics of one column.

    Args:
        column: the column.
        values: number of distinct values if it is categorical; else 0.
    """

    def __init__(self, column: Declared, values: int) -> None:
        self.column = column
        self.count_W: npt.NDArray[np.int64] = np.zeros(values + 1, np.int64)
        self._moments: Moments = column.kind.statistics()

    def add(self, values: Values) -> None:
        """Add codes or stored values, [N]."""
        if self.column.kind.is_categorical:
            seen, times = np.unique(values, return_counts=True)
            self.count_W[seen] += times
        else:
            self._moments.add(values, self.column.is_missing(values))

    def chunk(self, values: Values) -> Sequence[Any]:
        """What `fold` needs of codes or stored values, as numbers: of categories, their codes and counts."""
        if self.column.kind.is_categorical:
            seen, times = np.unique(values, return_counts=True)
            return [seen.tolist(), times.tolist()]
        return self._moments.chunk(values, self.column.is_missing(values))

    def fold(self, chunk: Sequence[Any]) -> None:
        """Add a chunk that `chunk` made."""
        if self.column.kind.is_categorical:
            self.count_W[np.asarray(chunk[0], np.int64)] += np.asarray(chunk[1], np.int64)
        else:
            self._moments.fold(chunk)

    def statistics(self, id_of_code: npt.NDArray[np.int32] | None) -> dict[str, float]:
        """Shares missing and unknown of a categorical column, given the ids of its codes; else the moments."""
        if id_of_code is None:
            return self._moments.result()
        total = max(1, int(self.count_W.sum()))
        shares = {"missing": MISSING, "unknown": UNKNOWN}
        return {name: float(self.count_W[id_of_code == which].sum() / total) for name, which in shares.items()}


def tallied(stream: Iterable[UserBlock], tallies: Iterable[Tally]) -> Iterator[UserBlock]:
    """Pass blocks through, adding their training events, and users who have any, to the tallies."""
    tallies = list(tallies)
    for block in stream:
        for tally, values in zip(tallies, training_values(block, tallies), strict=True):
            tally.add(values)
        yield block


def training_values(block: UserBlock, tallies: Iterable[Tally]) -> Iterator[Values]:
    """Of every column: the values of the block's training events, or of its users who have any."""
    trained, own = block.trained(), block.users["train_events"].to_numpy() > 0
    for tally in tallies:
        field = tally.column.field
        yield block.values[field][trained] if tally.column.role == "event" else block.users[field].to_numpy()[own]
