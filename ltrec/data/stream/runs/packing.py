"""Packing: rows copied one after the other into arrays that are large enough from the start, so that what they are copied from may
go at once. Memory that many row groups take one by one costs a page fault for every 4 KiB, and again when it is joined.
"""

from __future__ import annotations

import numpy as np

from ltrec.data.stream.reading.rows import UserRows, Values
from ltrec.data.stream.runs.loose_rows import LooseRows


class Packing:
    """Rows that are still to come.

    Args:
        rows: how many.
        entries: how many they are expected to own together, at most; memory beyond what they own stays untouched.
    """

    def __init__(self, rows: int, entries: int) -> None:
        self._rows, self._entries = rows, entries
        self._offsets = np.zeros(rows + 1, np.int64)
        self._events: dict[str, Values] = {}
        self._users: dict[str, Values] = {}
        self._row = 0

    @property
    def is_empty(self) -> bool:
        """Whether no rows were added."""
        return not self._events

    def add(self, rows: LooseRows) -> None:
        """Append rows."""
        packed, low, high = rows.packed(), self._row, self._row + rows.starts.size
        first = int(self._offsets[low])
        last = first + int(packed.offsets[-1])
        self._offsets[low + 1 : high + 1] = packed.offsets[1:] + first
        self._entries = max(self._entries, last)
        for name, values in packed.events.items():
            _long_enough(self._events, name, values, self._entries)[first:last] = values
        for name, values in packed.users.items():
            _long_enough(self._users, name, values, self._rows)[low:high] = values
        self._row = high

    def skip(self, rows: int) -> None:
        """Append rows without events: places of rows that cannot be had."""
        low, self._row = self._row, self._row + rows
        self._offsets[low + 1 : self._row + 1] = self._offsets[low]

    def rows(self) -> UserRows:
        """All rows that were added."""
        last = int(self._offsets[self._row])
        events = {name: values[:last] for name, values in self._events.items()}
        return UserRows(self._offsets[: self._row + 1], events, self._users)


def _long_enough(arrays: dict[str, Values], name: str, like: Values, count: int) -> Values:
    """The array of this name, made or made longer; zeros where nothing is written."""
    found = arrays.get(name)
    if found is None:
        found = arrays[name] = np.zeros((count, *like.shape[1:]), like.dtype)
    elif len(found) < count:
        found = arrays[name] = np.concatenate([found, np.zeros((count - len(found), *like.shape[1:]), like.dtype)])
    return found
