"""What removed rows counted for, so that counts of the rest need no other row."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.core.ragged import I64
from ltrec.core.strata import Strata
from ltrec.data.manifest import Manifest, Shard
from ltrec.data.verify.columns import ColumnCheck
from ltrec.data.verify.rows import RowGroup
from ltrec.data.verify.targets import target_mask


class Removed:
    """Sums over removed rows.

    Attributes:
        ids: raw ids of the users that were found.
        count_V: training events by item [V+1].
        users: number of users.
        events: their stored events.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._manifest, self._columns = manifest, ColumnCheck(folder, manifest)
        self.ids: list[str] = []
        self.count_V = np.zeros(manifest.vocab.items + 1, np.int64)
        self.users = self.events = 0
        self._summary: Counter[str] = Counter()
        self._stratum: dict[int, int] = {}
        self._users_K, self._activity_K = np.zeros((2, manifest.strata.count), np.int64)

    def add(self, table: pa.Table, shard: Shard) -> None:
        """Add rows of a shard.

        Raises:
            UserError: a value is none that its column can have.
        """
        rows = RowGroup.of(table, target_mask(table, self._manifest))
        trained = rows.index < rows.of_row(rows.train_events)
        if fault := self._columns.fault(table, rows.lengths, trained):
            raise UserError(f"{shard.path}: {fault}")
        np.add.at(self.count_V, rows.items[trained], 1)
        self.ids += table[c.USER_ID].to_pylist()
        self._stratum |= dict(zip(rows.user_key.tolist(), rows.stratum.tolist(), strict=True))
        self.users, self.events = self.users + table.num_rows, self.events + len(rows.items)
        if shard.stratum >= 0:
            self._users_K[shard.stratum] += table.num_rows
            self._activity_K[shard.stratum] += int(rows.activity.sum())
        self._summary.update({name: int(count) for name, count in self._counts(rows, shard).items()})

    def _counts(self, rows: RowGroup, shard: Shard) -> dict[str, int]:
        """The counts of the manifest's summary."""
        length = rows.lengths + np.maximum(rows.activity - rows.train_events, 0)  # before the history cap
        return {
            "users": rows.lengths.size,
            "events": len(rows.items),
            "train_events": rows.train_events.sum(),
            "trainable_users": rows.lengths.size * shard.trainable,
            "short_users": (length < 3).sum(),
            "held_out_users": self._held_out(rows).sum(),
            "head_users": (rows.activity >= self._manifest.strata.head_from).sum(),
            "valid_targets": (rows.valid_at >= 0).sum(),
            "test_targets": (rows.test_at >= 0).sum(),
            "cold_valid_targets": (rows.valid_at == 0).sum(),
            "cold_test_targets": (rows.test_at == 0).sum(),
        }

    def _held_out(self, rows: RowGroup) -> npt.NDArray[np.bool_]:
        """Users without training events although they have a history, where users were held out."""
        split, nothing = self._manifest.split, rows.activity == 0
        if not split.get("cold_users"):
            return np.zeros_like(nothing)
        if split["kind"] == "leave_one_out":
            return np.asarray(nothing)
        return np.asarray(nothing & (rows.count_before(split["valid_time"]) > 0))

    @property
    def values(self) -> dict[str, I64]:
        """File of a categorical column of events or users -> occurrences by id."""
        return self._columns.found

    def stratum_of(self, key: int) -> int | None:
        """Stratum of a removed user by key; None if it was not removed."""
        return self._stratum.get(key)

    def strata(self) -> Strata:
        """The strata of the rest; thresholds stay."""
        old = self._manifest.strata
        users, events = (np.array(old.users) - self._users_K).tolist(), (np.array(old.events) - self._activity_K).tolist()
        return replace(old, users=tuple(users), events=tuple(events))

    def summary(self) -> dict[str, Any]:
        """The manifest's summary of the rest, but for its files."""
        old = dict(self._manifest.summary)
        rest = {name: old[name] - count for name, count in self._summary.items() if name in old}
        gone = {f"forgotten_{what}": old.get(f"forgotten_{what}", 0) + self._summary[what] for what in ("users", "events")}
        known = set(self.ids)
        outsized = [entry for entry in old.get("outsized", ()) if (entry["kind"], entry["id"] in known) != ("user", True)]
        return {**old, **rest, **gone, "outsized": outsized}
