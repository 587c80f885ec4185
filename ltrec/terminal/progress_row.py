"""One row for the phase that a long command is in; nothing is drawn where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from ltrec.terminal.progress_text import duration, with_bar
from ltrec.terminal.screen import Screen


def with_commas(number: int) -> str:
    """`1,234`."""
    return f"{number:,}"


def megabytes(number: int) -> str:
    """`4.9 MB`."""
    return f"{number / 1e6:,.1f} MB"


class PhaseBar:
    """Shows the last phase of the updates (phase, done, total).

    Args:
        screen: where to draw.
        count: formats a number.
        quiet: draw nothing, on ranks other than the first.
    """

    def __init__(self, screen: Screen, count: Callable[[int], str] = with_commas, *, quiet: bool = False) -> None:
        self.screen, self.count = screen, count
        self.phase, self._done, self._total, self._began = "", 0, 0, time.monotonic()
        self._below = screen.footer(lambda width: [] if quiet else self.rows(width), on_notes=True)

    def __enter__(self) -> PhaseBar:
        """Start drawing."""
        self._below.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Clear the row."""
        self._below.__exit__(kind, error, trace)

    def update(self, phase: str, done: int, total: int) -> None:
        """Set the phase and how far it is; total 0 = unknown."""
        if phase != self.phase:
            self._began = time.monotonic()
        self.phase, self._done, self._total = phase, done, total

    def rows(self, width: int) -> list[str]:
        """The row; none before the first phase."""
        if not self.phase:
            return []
        took = duration(time.monotonic() - self._began, digits=0)
        if not self._total:
            return [f"{self.phase}  {self.count(self._done)}  {took}" if self._done else f"{self.phase}  {took}"]
        count = f"{self.count(self._done)}/{self.count(self._total)}"
        tails = [f"{count}  {took}", count, f"{self._done / self._total:.0%}"]
        return [with_bar(self.phase, self._done / self._total, tails, width, ascii_only=self.screen.ascii_only)]
