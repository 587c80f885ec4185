"""Loose rows: users whose events lie somewhere in larger arrays, as in a row group, of whose rows parts are used, or as a batch
wants them, in another order than that of memory. Whoever needs them one after the other copies each run once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ltrec.core import columns as c
from ltrec.core.ragged import I64, prefix_sums
from ltrec.data.stream.reading.rows import UserRows, Values, joined, taken
from ltrec.data.stream.runs.runs import Runs

_LOOSE = 2  # times as many entries as are used: then these are copied before others join them


@dataclass(frozen=True, slots=True)
class LooseRows:
    """R users.

    Attributes:
        starts: int64 [R], user r owns the entries starts[r]:ends[r].
        ends: int64 [R].
        events: by name, [E] or [E, w].
        users: by name, [R] or [R, w].
        is_packed: whether it is known that rows are neighbours, and own all entries.
    """

    starts: I64
    ends: I64
    events: Mapping[str, Values]
    users: Mapping[str, Values]
    is_packed: bool = False

    @staticmethod
    def of(rows: UserRows) -> LooseRows:
        """Packed rows."""
        return LooseRows(rows.offsets[:-1], rows.offsets[1:], rows.events, rows.users, is_packed=True)

    @staticmethod
    def neighbours(rows: UserRows, low: int, high: int) -> LooseRows:
        """Rows low:high of packed rows, without a copy of their events."""
        first, last = int(rows.offsets[low]), int(rows.offsets[high])
        offsets = rows.offsets[low : high + 1] - first
        events = {name: values[first:last] for name, values in rows.events.items()}
        users = {name: values[low:high] for name, values in rows.users.items()}
        return LooseRows(offsets[:-1], offsets[1:], events, users, is_packed=True)

    @staticmethod
    def chosen(rows: UserRows, index: I64) -> LooseRows:
        """Some of packed rows, in this order, without a copy of their events."""
        return LooseRows(rows.offsets[index], rows.offsets[index + 1], rows.events, taken(rows.users, index))

    @staticmethod
    def concatenate(parts: Sequence[LooseRows]) -> LooseRows:
        """The rows of all parts, in order."""
        first = parts[0]
        if len(parts) == 1:
            return first
        if all(part.events is first.events for part in parts):
            starts, ends = (np.concatenate([getattr(part, name) for part in parts]) for name in ("starts", "ends"))
            return LooseRows(starts, ends, first.events, joined([part.users for part in parts]))
        parts = [part.trimmed() for part in parts]
        before = np.cumsum([0, *(part.entries for part in parts)]).tolist()
        starts, ends = (
            np.concatenate([getattr(part, name) + at for part, at in zip(parts, before, strict=False)])
            for name in ("starts", "ends")
        )
        return LooseRows(starts, ends, joined([part.events for part in parts]), joined([part.users for part in parts]))

    @property
    def entries(self) -> int:
        """E."""
        return len(self.events[c.ITEMS])

    def slice(self, low: int, high: int) -> LooseRows:
        """Rows low:high."""
        users = {name: values[low:high] for name, values in self.users.items()}
        return LooseRows(self.starts[low:high], self.ends[low:high], self.events, users)

    def taken(self, order: I64) -> LooseRows:
        """These rows, in this order."""
        return LooseRows(self.starts[order], self.ends[order], self.events, taken(self.users, order))

    def packed(self, order: I64 | None = None) -> UserRows:
        """The rows one after the other; `order` says which ones, and in which order: all, as they are."""
        rows = self if order is None else self.taken(order)
        events = Runs(rows.starts, rows.ends, rows.entries).of_each(rows.events)
        return UserRows(prefix_sums(rows.ends - rows.starts), events, rows.users)

    def trimmed(self) -> LooseRows:
        """These rows with not many more entries than they own."""
        if self.is_packed:
            return self
        low, high = (int(self.starts.min()), int(self.ends.max())) if self.starts.size else (0, 0)
        if high - low > _LOOSE * int((self.ends - self.starts).sum()):
            return LooseRows.of(self.packed())
        events = {name: values[low:high] for name, values in self.events.items()}
        return LooseRows(self.starts - low, self.ends - low, events, self.users)
