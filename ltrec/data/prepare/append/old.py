"""What the parent counts of the users whose rows are superseded, to be subtracted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ltrec.core import columns as c
from ltrec.core.ragged import I64
from ltrec.core.strata import Strata
from ltrec.data.prepare.append.rows import OldRows, is_among

_COLUMNS = (c.USER_KEY, c.STRATUM, c.ACTIVITY, c.TRAIN_EVENTS, c.VALID_AT, c.TEST_AT)


@dataclass(slots=True)
class OldUsers:
    """Rows of users, accumulated.

    Attributes:
        users: columns [R]: those of the shards, also user columns, `length`, `count` (before the cap) and `trainable`.
    """

    users: list[dict[str, npt.NDArray[Any]]] = field(default_factory=list)

    def add(self, found: OldRows) -> None:
        """Add rows."""
        own = {name: found.table[name].to_numpy() for name in _COLUMNS}
        own["length"] = pc.list_value_length(found.table[c.ITEMS]).to_numpy().astype(np.int64)
        own |= {name: found.table[name].to_numpy() for name in found.table.schema.names if name.startswith(c.USER)}
        own["count"], own["trainable"] = found.count_R, found.trainable_R
        self.users.append(own)

    def of(self, key_U: I64) -> OldUsers:
        """Those of these users (sorted keys) alone."""
        which = [is_among(part[c.USER_KEY], key_U) for part in self.users]
        return OldUsers([{name: column[own] for name, column in part.items()} for part, own in zip(self.users, which, strict=True)])

    def column(self, name: str) -> npt.NDArray[Any]:
        """A column of all rows."""
        return np.concatenate([part[name] for part in self.users]) if self.users else np.zeros(0, np.int64)

    def table(self, names: Sequence[str]) -> pa.Table:
        """Columns of all rows."""
        return pa.table({name: self.column(name) for name in names})

    def counts(self) -> dict[str, int]:
        """What `summary.count_users` counts, but for held-out and head users."""
        names = ("length", "count", "trainable", c.TRAIN_EVENTS, c.VALID_AT, c.TEST_AT)
        length, count, trainable, train, valid, test = (self.column(name) for name in names)
        found = {
            "users": length.size,
            "events": length.sum(),
            "train_events": train.sum(),
            "trainable_users": trainable.sum(),
            "short_users": (count < 3).sum(),
            "capped_users": (length < count).sum(),
            "capped_events": (count - length).sum(),
            "valid_targets": (valid >= 0).sum(),
            "test_targets": (test >= 0).sum(),
            "cold_valid_targets": (valid == 0).sum(),
            "cold_test_targets": (test == 0).sum(),
        }
        return {name: int(value) for name, value in found.items()}

    def by_stratum(self, strata: Strata) -> tuple[I64, I64]:
        """Users and their activity by stratum, [K] each."""
        stratum, activity = self.column(c.STRATUM).astype(np.int64), self.column(c.ACTIVITY)
        own = stratum >= 0
        users = np.bincount(stratum[own], minlength=strata.count)
        return users, np.bincount(stratum[own], activity[own], strata.count).astype(np.int64)
