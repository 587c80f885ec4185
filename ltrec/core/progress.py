"""How long work reports its progress: callers pass a function."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (what is done, how far, of how much); 0 in all = unknown. Bytes, rows or chunks, as the work counts."""


def silent(what: str, done: int, total: int) -> None:
    """Show nothing."""
