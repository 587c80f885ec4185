"""The parts of a data set, and the sorted rows: users and events, both ordered by (part, user key)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

SortedRows: TypeAlias = Path | pa.Table
"""A file, or a table in memory."""


@dataclass(frozen=True, slots=True)
class StratumPart:
    """A part: `rows` users with `events` stored events; stratum -1 = none."""

    stratum: int
    trainable: bool
    rows: int
    events: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Sizes: users per block, and events per shard."""

    block_rows: int
    shard_events: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The sorted rows and the parts in them, in their order.

    Attributes:
        users: rows of users.
        events: rows of events.
        parts: the parts, or the piece of one that is in these rows.
        first_part: number of the first of them.
        first_place: place of the first user.
    """

    users: SortedRows
    events: SortedRows
    parts: tuple[StratumPart, ...]
    first_part: int = 0
    first_place: int = 0
