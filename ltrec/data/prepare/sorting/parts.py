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
class Layout:
    """The sorted files and the parts in them, in file order."""

    users: Path
    events: Path
    parts: tuple[StratumPart, ...]
