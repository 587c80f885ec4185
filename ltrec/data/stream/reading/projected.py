"""What is read from a shard besides items: the requested columns and, in training, target flags and weights.

Names of columns are a config's and a batch's (`price`); on disk, and in `UserRows`, a column is called what its shard calls it
(`event.price`, `user.age`, `times`), so that none of them can be mistaken for anything else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from ltrec.columns.kinds import kind_of_column
from ltrec.columns.names import unknown_column
from ltrec.columns.schema import Column, Projection, Role
from ltrec.core import columns as c
from ltrec.core.ragged import I64
from ltrec.data.manifest import Manifest
from ltrec.data.schema import storage_of
from ltrec.data.stream.reading.rows import Values, list_column


@dataclass(frozen=True, slots=True)
class Projected:
    """The columns to read; none by default.

    Attributes:
        events: name -> column on disk, a list beside `items`.
        users: name -> column on disk.
        weighs: whether events have weights that are read.
        targets: column on disk -> the stored values that an event must have one of to be a target; empty = every event is one.
        known: column on disk -> its entry in the manifest.
    """

    events: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)
    weighs: bool = False
    targets: Mapping[str, Collection[int]] = field(default_factory=dict)
    known: Mapping[str, Column] = field(default_factory=dict)

    @staticmethod
    def of(manifest: Manifest, wanted: Projection, *, training: bool) -> Projected:
        """The requested columns of a data set and, in `training`, those that define targets and weights.

        Raises:
            UserError: the data set has no column of that name.
        """
        events = {name: c.TIMES if name == c.TIME else c.EVENT + name for name in wanted.events}
        known = {c.EVENT + name: column for name, column in manifest.columns.of("event").items()}
        known |= {c.USER + name: column for name, column in manifest.columns.of("user").items()}
        _check(manifest, "event", [name for name in wanted.events if name != c.TIME], [c.TIME])
        _check(manifest, "user", wanted.users, [])
        targets = manifest.targets if training else {}
        return Projected(
            events,
            {name: c.USER + name for name in wanted.users},
            training and manifest.columns.weight,
            {c.EVENT + name: ids for name, ids in targets.items()},
            known,
        )

    @property
    def has_gaps(self) -> bool:
        """Whether some events may be no targets: another kind of event, or one that weighs nothing."""
        return self.weighs or bool(self.targets)

    @property
    def lists(self) -> list[str]:
        """Columns on disk that are lists beside `items`, each once."""
        return [*dict.fromkeys([*self.events.values(), *self.targets, *([c.WEIGHT] if self.weighs else [])])]

    @property
    def names(self) -> list[str]:
        """All columns on disk, each once."""
        return [*self.lists, *self.users.values()]

    @property
    def event_bytes(self) -> int:
        """Bytes that an event takes in memory besides its item."""
        widths = [
            8 if name == c.TIMES else 4 if name == c.WEIGHT else storage_of(self.known[name]).bit_width // 8 for name in self.lists
        ]
        return sum(widths) + self.has_gaps

    def decode(self, table: pa.Table, offsets: I64) -> tuple[dict[str, Values], dict[str, Values]]:
        """Event columns, `target` among them where there are gaps, and user columns of a row group, by their names on disk.

        Args:
            table: the row group.
            offsets: of its items.

        Raises:
            ValueError: the message says what is wrong.
        """
        events = {name: self._events(table, name, offsets) for name in self.lists}
        users = {name: self._checked(name, table.column(name).to_numpy()) for name in self.users.values()}
        if self.has_gaps:
            events[c.TARGET] = self._is_target(events, int(offsets[-1]))
        kept = {*self.events.values(), c.WEIGHT, c.TARGET}
        return {name: values for name, values in events.items() if name in kept}, users

    def _events(self, table: pa.Table, name: str, offsets: I64) -> Values:
        values, own_offsets = list_column(table, name)
        if not np.array_equal(own_offsets, offsets):
            raise ValueError(f"column {name} is not as long as items")
        return self._checked(name, values)

    def _checked(self, name: str, values: Values) -> Values:
        if name == c.WEIGHT and not (np.isfinite(values) & (values >= 0)).all():
            raise ValueError(f"column {name} has values that are not weights: weights are finite and at least 0")
        column = self.known.get(name)
        fault = kind_of_column(column).fault(values, column) if column is not None else None
        if fault:
            raise ValueError(f"column {name}: {fault}")
        return values

    def _is_target(self, events: Mapping[str, Values], count: int) -> Values:
        """Which events are targets that count for something [E]."""
        found = np.ones(count, np.bool_)
        for name, ids in self.targets.items():
            found &= np.isin(events[name], list(ids))
        return found & (events[c.WEIGHT] > 0) if self.weighs else found


NO_COLUMNS = Projected()
"""Items alone."""


def _check(manifest: Manifest, role: Role, wanted: Collection[str], more: list[str]) -> None:
    known = [*manifest.columns.of(role), *more]
    for name in wanted:
        if name not in known:
            raise unknown_column(f"data set {manifest.name!r}", role, name, known)
