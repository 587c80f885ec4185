"""FooterRows at the foot of a terminal that everything else is printed above, drawn again when they change.

The cursor rests at the beginning of the first row. From there one "erase to the end" takes all rows away, also those that the
terminal broke in two because its window became narrower: it moves the cursor with the text it stands on. What is printed, by
whomever, goes through the console, which puts the rows back below it in the same write; the streams that lead to the same
terminal are led through it as well, those of loggers that took hold of one before included.
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
"""Width of the terminal -> what is to stand there; what is too long is cut, and rows that there is no room for."""

_ERASE = "\r\x1b[J"  # all that is below, from the beginning of the row
_PER_SECOND = 4


class _Raw:
    """Control characters for the terminal itself."""

    def __init__(self, characters: str) -> None:
        self.segment = Segment(characters, None, [(ControlType.CARRIAGE_RETURN,)])

    def __rich_console__(self, console: Console, options: object) -> Iterator[Segment]:
        """As they are."""
        yield self.segment


class Footer(RenderHook):
    """Draws rows from its entering to its leaving, and leaves nothing behind.

    Args:
        console: of a terminal.
        rows: asked four times a second, in a thread of its own, and for every line that is printed.
    """

    def __init__(self, console: Console, rows: FooterRows) -> None:
        self.console, self.rows = console, rows
        self._drawn: tuple[str, ...] = ()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="ltrec-footer", daemon=True)

    def __enter__(self) -> Footer:
        """Begin to draw."""
        self.console.push_render_hook(self)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the rows away."""
        self._over.set()
        self._thread.join()
        self.console.pop_render_hook()
        self.console.print(_Raw(_ERASE), end="")

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Erase the rows, print, draw the rows."""
        return [_Raw(_ERASE), *renderables, *self._drawing()]

    def _drawing(self) -> list[ConsoleRenderable]:
        self._drawn = self._wanted()
        text = Text("\n").join(Text(row, end="") for row in self._drawn)
        text.end = ""
        up = len(self._drawn) - 1
        return [text, _Raw("\r" + (f"\x1b[{up}A" if up > 0 else ""))]

    def _wanted(self) -> tuple[str, ...]:
        width, height = self.console.size
        rows = self.rows(width)[: max(1, height - 1)]
        return tuple(_cut(row, width - 1) for row in rows)  # the last column would make some terminals begin a new row

    def _refresh(self) -> None:
        while not self._over.wait(1 / _PER_SECOND):
            if self._wanted() != self._drawn:
                self.console.print(Control(), end="")


def _cut(row: str, width: int) -> str:
    text = Text(row)
    text.truncate(max(1, width), overflow="ellipsis")
    return text.plain


@contextmanager
def footer(console: Console, rows: FooterRows) -> Iterator[None]:
    """Keep rows at the foot of a terminal for as long as the context lasts."""
    with _led_through(console), Footer(console, rows):
        yield


@contextmanager
def _led_through(console: Console) -> Iterator[None]:
    """Lead stdout and stderr through the console where they end at its terminal, also for loggers that hold them already."""
    before = sys.stdout, sys.stderr
    led = {id(stream): FileProxy(console, stream) for stream in before if same_terminal(stream, console.file)}
    handlers = [handler for handler in _stream_handlers() if id(handler.stream) in led]
    kept = [handler.stream for handler in handlers]
    sys.stdout, sys.stderr = (led.get(id(stream), stream) for stream in before)
    for handler in handlers:
        handler.setStream(cast("IO[str]", led[id(handler.stream)]))
    try:
        yield
    finally:
        for proxy in led.values():
            proxy.flush()
        sys.stdout, sys.stderr = before
        for handler, stream in zip(handlers, kept, strict=True):
            handler.setStream(stream)


def _stream_handlers() -> list[logging.StreamHandler[IO[str]]]:
    loggers = [logging.getLogger(), *(x for x in logging.Logger.manager.loggerDict.values() if isinstance(x, logging.Logger))]
    found = {id(handler): handler for logger in loggers for handler in logger.handlers}
    return [handler for handler in found.values() if isinstance(handler, logging.StreamHandler)]


def same_terminal(one: IO[str], other: IO[str]) -> bool:
    """Whether two streams end at one terminal."""
    try:
        return one.isatty() and other.isatty() and os.fstat(one.fileno()).st_rdev == os.fstat(other.fileno()).st_rdev
    except (OSError, ValueError, AttributeError):
        return False
