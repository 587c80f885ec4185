"""Special steps that prepare reports (`ltrec.core.progress`)."""

from __future__ import annotations

from collections.abc import Callable

from ltrec.core.progress import Progress

UNCHANGED = "unchanged"
"""Reported when the output already holds exactly this data set and nothing was done."""
MENDING = "mend"
"""Reported when the output holds exactly this data set, but damaged: it is built again."""


def counter(step: str, total: int, on_progress: Progress) -> Callable[[int], None]:
    """A function that adds to what is done of a step, and reports it."""
    done = 0

    def add(count: int) -> None:
        nonlocal done
        done += count
        on_progress(step, done, total)

    return add
