"""Rows: jagged users in memory. Everything is built with one packed gather (`core.ragged`); no Python loop over rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ltrec.core import columns as c
from ltrec.core.ragged import I64, prefix_sums

I32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class UserRows:
    """R users: items int32 [E] of all, offsets int64 [R+1], user_key int64 [R], stratum int64 [R]."""

    items: I32
    offsets: I64
    user_key: I64
    stratum: I64

    @staticmethod
    def concatenate(parts: Sequence[UserRows]) -> UserRows:
        """The rows of all parts, in order."""
        lengths = np.concatenate([np.diff(part.offsets) for part in parts])
        return UserRows(
            np.concatenate([part.items for part in parts]),
            prefix_sums(lengths),
            np.concatenate([part.user_key for part in parts]),
            np.concatenate([part.stratum for part in parts]),
        )

    def slice(self, low: int, high: int) -> UserRows:
        """Rows low:high, without a copy of the items."""
        offsets = self.offsets[low : high + 1]
        return UserRows(self.items[offsets[0] : offsets[-1]], offsets - offsets[0], self.user_key[low:high], self.stratum[low:high])


def list_column(table: pa.Table, name: str) -> tuple[I32, I64]:
    """Values and offsets (starting at 0) of a list column of one chunk, without a copy of the values."""
    if not table.num_rows:
        return np.zeros(0, np.int32), np.zeros(1, np.int64)
    chunk = table.column(name).chunk(0)
    offsets = chunk.offsets.to_numpy(zero_copy_only=True).astype(np.int64)
    return chunk.values.to_numpy(zero_copy_only=True)[offsets[0] : offsets[-1]], offsets - offsets[0]


def int_column(table: pa.Table, name: str) -> I64:
    """A column as int64."""
    column: I64 = table.column(name).to_numpy().astype(np.int64)
    return column


def key_columns(table: pa.Table) -> tuple[I64, I64]:
    """User keys and strata."""
    return int_column(table, c.USER_KEY), int_column(table, c.STRATUM)
