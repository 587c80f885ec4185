"""How prepare tells what it is doing: (stage, done, total) with total 0 = unknown. Display belongs to the command."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]

UNCHANGED = "unchanged"
"""Stage heard when the output already holds exactly this data set and nothing was done."""
MENDING = "mend"
"""Stage heard when the output holds exactly this data set, but damaged: it is built anew."""


def silent(stage: str, done: int, total: int) -> None:
    """Hear nothing."""
