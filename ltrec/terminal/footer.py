"""Rows at the bottom of a terminal, redrawn when they change; everything else is printed above them.

The cursor rests at the beginning of the first row. From there one "erase to the end" removes all rows, also those that were wrapped
because the window became narrower: the terminal moves the cursor with its text. All output goes through the console, which redraws
the rows below it in the same write; streams that lead to the same terminal are redirected to it, also those that loggers hold.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, cast

from rich.console import Console, ConsoleRenderable, RenderHook
from rich.control import Control
from rich.file_proxy import FileProxy
from rich.segment import ControlType, Segment
from rich.text import Text

FooterRows = Callable[[int], Sequence[str]]
"""Width of the terminal -> rows. Rows that are too long are truncated; those that do not fit the height are left out."""

_ERASE = "\r\x1b[J"  # from the beginning of the row to the end of the screen
_REFRESHES_PER_S = 4


class _Raw:
    """Control characters, passed to the terminal unchanged."""

    def __init__(self, characters: str) -> None:
        self.segment = Segment(characters, None, [(ControlType.CARRIAGE_RETURN,)])

    def __rich_console__(self, console: Console, options: object) -> Iterator[Segment]:
        """Unchanged."""
        yield self.segment


class Footer(RenderHook):
    """Draws rows while the context lasts, and erases them at its end.

    Args:
        console: of a terminal.
        rows: called four times a second in a thread of its own, and for every line that is printed.
    """

    def __init__(self, console: Console, rows: FooterRows) -> None:
        self.console, self.rows = console, rows
        self._drawn: tuple[str, ...] = ()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="ltrec-footer", daemon=True)

    def __enter__(self) -> Footer:
        """Start drawing."""
        self.console.push_render_hook(self)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Erase the rows."""
        self._stopped.set()
        self._thread.join()
        self.console.pop_render_hook()
        self.console.print(_Raw(_ERASE), end="")

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Erase the rows, print, draw the rows."""
        return [_Raw(_ERASE), *renderables, *self._draw()]

    def _draw(self) -> list[ConsoleRenderable]:
        self._drawn = self._current_rows()
        text = Text("\n").join(Text(row, end="") for row in self._drawn)
        text.end = ""
        up = len(self._drawn) - 1
        return [text, _Raw("\r" + (f"\x1b[{up}A" if up > 0 else ""))]

    def _current_rows(self) -> tuple[str, ...]:
        width, height = self.console.size
        rows = self.rows(width)[: max(1, height - 1)]
        return tuple(_cut(row, width - 1) for row in rows)  # text in the last column makes some terminals wrap

    def _refresh(self) -> None:
        while not self._stopped.wait(1 / _REFRESHES_PER_S):
            if self._current_rows() != self._drawn:
                self.console.print(Control(), end="")


def _cut(row: str, width: int) -> str:
    text = Text(row)
    text.truncate(max(1, width), overflow="ellipsis")
    return text.plain


@contextmanager
def footer(console: Console, rows: FooterRows) -> Iterator[None]:
    """Keep rows at the bottom of a terminal while the context lasts."""
    with _redirected(console), Footer(console, rows):
        yield


@contextmanager
def _redirected(console: Console) -> Iterator[None]:
    """Redirect stdout and stderr to the console if they write to its terminal, also in log handlers that hold them already."""
    before = sys.stdout, sys.stderr
    redirected = {id(stream): FileProxy(console, stream) for stream in before if same_terminal(stream, console.file)}
    handlers = [handler for handler in _stream_handlers() if id(handler.stream) in redirected]
    streams = [handler.stream for handler in handlers]
    sys.stdout, sys.stderr = (redirected.get(id(stream), stream) for stream in before)
    for handler in handlers:
        handler.setStream(cast("IO[str]", redirected[id(handler.stream)]))
    try:
        yield
    finally:
        for proxy in redirected.values():
            proxy.flush()
        sys.stdout, sys.stderr = before
        for handler, stream in zip(handlers, streams, strict=True):
            handler.setStream(stream)


def _stream_handlers() -> list[logging.StreamHandler[IO[str]]]:
    loggers = [logging.getLogger(), *(x for x in logging.Logger.manager.loggerDict.values() if isinstance(x, logging.Logger))]
    found = {id(handler): handler for logger in loggers for handler in logger.handlers}
    return [handler for handler in found.values() if isinstance(handler, logging.StreamHandler)]


def same_terminal(one: IO[str], other: IO[str]) -> bool:
    """Whether two streams write to the same terminal."""
    try:
        return one.isatty() and other.isatty() and os.fstat(one.fileno()).st_rdev == os.fstat(other.fileno()).st_rdev
    except (OSError, ValueError, AttributeError):
        return False
