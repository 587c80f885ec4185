"""The parts of a data set, and the sorted files: users and events, both ordered by (part, user key)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
    """The sorted files and the parts in them, in file order.

    Attributes:
        users: file of users.
        events: file of events.
        parts: the parts, or the piece of one that is in these files.
        first_part: number of the first of them.
        first_place: place of the first user.
    """

    users: Path
    events: Path
    parts: tuple[StratumPart, ...]
    first_part: int = 0
    first_place: int = 0
