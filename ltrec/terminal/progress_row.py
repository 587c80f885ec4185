"""One row for the stage that a long command is in; none where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from ltrec.terminal.gauges import duration, gauged
from ltrec.terminal.screen import Screen


def plainly(number: int) -> str:
    """`1,234`."""
    return f"{number:,}"


def in_mb(number: int) -> str:
    """`4.9 MB`."""
    return f"{number / 1e6:,.1f} MB"


class StageBar:
    """Hears (stage, done, total) and shows the last stage it heard of.

    Args:
        screen: whose terminal it is.
        count: how a number is written.
        quiet: nothing is shown, for ranks other than the first.
    """

    def __init__(self, screen: Screen, count: Callable[[int], str] = plainly, *, quiet: bool = False) -> None:
        self.screen, self.count = screen, count
        self.stage, self._done, self._total, self._began = "", 0, 0, time.monotonic()
        self._below = screen.below(lambda width: [] if quiet else self.rows(width), on_notes=True)

    def __enter__(self) -> StageBar:
        """Start to draw."""
        self._below.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Clear the row."""
        self._below.__exit__(kind, error, trace)

    def update(self, stage: str, done: int, total: int) -> None:
        """What is done, how far; total 0 = unknown."""
        if stage != self.stage:
            self._began = time.monotonic()
        self.stage, self._done, self._total = stage, done, total

    def rows(self, width: int) -> list[str]:
        """The row; none before the first stage."""
        if not self.stage:
            return []
        took = duration(time.monotonic() - self._began, digits=0)
        if not self._total:
            return [f"{self.stage}  {self.count(self._done)}  {took}" if self._done else f"{self.stage}  {took}"]
        count = f"{self.count(self._done)}/{self.count(self._total)}"
        tails = [f"{count}  {took}", count, f"{self._done / self._total:.0%}"]
        return [gauged(self.stage, self._done / self._total, tails, width, ascii_only=self.screen.ascii_only)]
