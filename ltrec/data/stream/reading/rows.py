"""Rows: jagged users in memory. Rows are gathered whole (`runs.py`); no Python loop over rows.

All columns of events, and all of users, are in one dictionary each, by their names on disk: rows are cut and joined without
knowing any column by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ltrec.core import columns as c
from ltrec.core.ragged import I64

I32 = npt.NDArray[np.int32]
Values = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class UserRows:
    """R users with E events.

    Attributes:
        offsets: int64 [R+1], user r owns events offsets[r]:offsets[r+1].
        events: by name, [E] or [E, w]: `items`, int32, and the columns that are read.
        users: by name, [R] or [R, w]: `user_key` and `stratum`, int64, and the columns that are read.
    """

    offsets: I64
    events: Mapping[str, Values]
    users: Mapping[str, Values]

    @property
    def items(self) -> I32:
        """Items of all events [E]."""
        return self.events[c.ITEMS]

    @property
    def user_key(self) -> I64:
        """Keys [R]."""
        return self.users[c.USER_KEY]

    @property
    def stratum(self) -> I64:
        """The data set's strata [R]."""
        return self.users[c.STRATUM]


def joined(parts: Sequence[Mapping[str, Values]]) -> dict[str, Values]:
    """Arrays of the same names, each one after the other."""
    if len(parts) == 1:
        return dict(parts[0])
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def taken(arrays: Mapping[str, Values], index: I64) -> dict[str, Values]:
    """The entries of every array at these places."""
    return {name: values[index] for name, values in arrays.items()}


def list_column(table: pa.Table, name: str) -> tuple[Values, I64]:
    """Values and offsets (from 0) of a list column in one Arrow chunk, without copying the values."""
    if not table.num_rows:
        return np.zeros(0, table.schema.field(name).type.value_type.to_pandas_dtype()), np.zeros(1, np.int64)
    chunk = table.column(name).chunk(0)
    offsets = chunk.offsets.to_numpy(zero_copy_only=True).astype(np.int64)
    return chunk.values.to_numpy(zero_copy_only=True)[offsets[0] : offsets[-1]], offsets - offsets[0]


def int_column(table: pa.Table, name: str) -> I64:
    """A column as int64."""
    column: I64 = table.column(name).to_numpy().astype(np.int64)
    return column


def key_columns(table: pa.Table) -> dict[str, I64]:
    """User keys and strata."""
    return {name: int_column(table, name) for name in (c.USER_KEY, c.STRATUM)}
