"""Checks of every row of a shard, vectorised over one row group.

Letters: B rows, N events of all rows together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ltrec.core import columns as c
from ltrec.data.manifest import Manifest, Shard

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class RowGroup:
    """A row group as arrays: [B] for columns of users, [N] for events and their `index` in the row; `lengths` is [B]."""

    user_key: Array
    stratum: Array
    activity: Array
    train_events: Array
    valid_at: Array
    test_at: Array
    lengths: Array
    time_lengths: Array
    items: Array
    times: Array
    index: Array
    target: Array | None

    @staticmethod
    def of(table: pa.Table, target: Array | None = None) -> RowGroup:
        """From a table in the shard schema; `target` [N] is a mask of targets, None = all events."""
        items, times = (table[name].combine_chunks() for name in (c.ITEMS, c.TIMES))
        lengths = items.value_lengths().to_numpy()
        return RowGroup(
            user_key=table[c.USER_KEY].to_numpy(),
            stratum=table[c.STRATUM].to_numpy(),
            activity=table[c.ACTIVITY].to_numpy(),
            train_events=table[c.TRAIN_EVENTS].to_numpy(),
            valid_at=table[c.VALID_AT].to_numpy(),
            test_at=table[c.TEST_AT].to_numpy(),
            lengths=lengths,
            time_lengths=times.value_lengths().to_numpy(),
            items=items.flatten().to_numpy(),
            times=times.flatten().to_numpy(),
            index=np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths),
            target=target,
        )

    def of_row(self, values_B: Array) -> Array:
        """A column of rows, repeated for each event of the row [N]."""
        return np.repeat(values_B, self.lengths)

    def count(self, which: Array) -> Array:
        """Events per row that a mask [N] selects, [B]; rows are not empty."""
        return np.add.reduceat(which.astype(np.int64), np.cumsum(self.lengths) - self.lengths)

    def count_before(self, second: int) -> Array:
        """Events per row before a time [B]; rows are not empty."""
        return self.count(self.times < second)


def check_rows(rows: RowGroup, shard: Shard, manifest: Manifest, last_key: int | None) -> str | None:
    """A description of the first fault, or None. `last_key` is the key of the row before, if any."""
    faults = _form(rows, shard, manifest, last_key)
    if rows.target is not None:
        return faults  # positions follow other rules; see targets.py
    faults = faults or _positions(rows, manifest)
    if faults is None:
        faults = _leave_one_out(rows) if manifest.split["kind"] == "leave_one_out" else _global_time(rows, manifest)
    return faults


def first_fault(conditions: dict[str, Array]) -> str | None:
    """The first condition that does not hold for all rows, with the key of the first user that violates it."""
    return next((text for text, holds in conditions.items() if not holds.all()), None)


def _form(rows: RowGroup, shard: Shard, manifest: Manifest, last_key: int | None) -> str | None:
    if (rows.lengths != rows.time_lengths).any():
        return "items and times differ in length"
    rises = rows.user_key[1:] > rows.user_key[:-1]  # a difference would overflow
    within = rows.index[1:] == 0
    return first_fault(
        {
            "a user without events": rows.lengths > 0,
            "users are not ordered by their key": np.append(rises, last_key is None or rows.user_key[0] > last_key),
            "an item id outside the vocabulary": (rows.items >= 1) & (rows.items <= manifest.vocab.items),
            "decreasing times within a user": (np.diff(rows.times) >= 0) | within,
            "a stratum that does not match the activity": rows.stratum == manifest.strata.of(rows.activity),
            "a user of another stratum": rows.stratum == shard.stratum,
            "trainable and other users in one shard": (rows.target is not None) | ((rows.train_events >= 2) == shard.trainable),
        }
    )


def _positions(rows: RowGroup, manifest: Manifest) -> str | None:
    """Checks for every kind of split: training is a prefix, and targets come after it and exist."""
    whole = rows.lengths < manifest.options["history_cap"]
    return first_fault(
        {
            "more training events than events": (rows.train_events >= 0) & (rows.train_events <= rows.lengths),
            "activity that is not the number of training events": (rows.activity == rows.train_events)
            | (~whole & (rows.activity > rows.train_events)),
            "a validation target outside the history": (rows.valid_at >= -1) & (rows.valid_at < rows.lengths),
            "a test target outside the history": (rows.test_at >= -1) & (rows.test_at < rows.lengths),
            "a validation target among the training events": (rows.valid_at == -1) | (rows.valid_at == rows.train_events),
            "a test target among the training events": (rows.test_at == -1) | (rows.test_at >= rows.train_events),
            "a test target that does not come after validation": (rows.test_at == -1) | (rows.test_at > rows.valid_at),
        }
    )


def _leave_one_out(rows: RowGroup) -> str | None:
    n, held_out = rows.lengths, rows.activity == 0
    long = (n >= 3) & ~held_out
    return first_fault(
        {
            "training events that do not leave one out": rows.train_events == np.where(held_out, 0, np.where(long, n - 2, n)),
            "a validation target that is not the last but one": rows.valid_at == np.where(long, n - 2, -1),
            "a test target that is not the last": rows.test_at == np.where(long | (held_out & (n >= 2)), n - 1, -1),
        }
    )


def _global_time(rows: RowGroup, manifest: Manifest) -> str | None:
    """Exact for users below the history cap; a user without activity may be a held-out user."""
    before_valid, before_test = (rows.count_before(manifest.split[cut]) for cut in ("valid_time", "test_time"))
    capped = rows.lengths >= manifest.options["history_cap"]
    held_out = (rows.activity == 0) & (manifest.split["cold_users"] > 0)
    valid = np.where(before_test > before_valid, before_valid, -1)
    test = np.where(rows.lengths > before_test, before_test, -1)
    return first_fault(
        {
            "training events that do not end at the cut": (rows.train_events == before_valid)
            | (held_out & (rows.train_events == 0)),
            "a validation target that is not the first after the cut": (rows.valid_at == valid)
            | ((held_out | capped) & (rows.valid_at == -1)),
            "a test target that is not the first after the cut": rows.test_at == test,
        }
    )
