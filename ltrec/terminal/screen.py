"""The screen of a command, through which all its output goes.

    lines         what a command reports                     stdout; stderr under --json
    notes         warnings and remarks, in yellow            stderr
    print_json    one line of JSON                           stdout, under --json only
    footer        rows at the bottom of the terminal         where lines go, if that is a terminal that can redraw

Where stdout and stderr are the same terminal they share a console, so that a note never lands in the middle of a row. Otherwise
(`2> notes.txt`) they stay apart.
"""

from __future__ import annotations

import json
import logging
import sys
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ltrec.terminal.console import is_live, new_console, visible
from ltrec.terminal.footer import FooterRows, footer, same_terminal

_LOGGER = logging.getLogger("ltrec")


class Screen:
    """The output of a command.

    Args:
        for_scripts: reserve stdout for `print_json`.
        silent: print nothing; lines go to the logger `ltrec`, at level INFO.
    """

    def __init__(self, *, for_scripts: bool = False, silent: bool = False) -> None:
        self.for_scripts = for_scripts
        self.lines = new_console(stderr=for_scripts, quiet=silent)
        together = for_scripts or silent or same_terminal(sys.stdout, sys.stderr)
        self.notes = self.lines if together else new_console(stderr=True)

    @property
    def is_live(self) -> bool:
        """Whether rows can be drawn below the lines."""
        return is_live(self.lines)

    @property
    def ascii_only(self) -> bool:
        """Whether only ASCII can be printed."""
        return not self.lines.encoding.startswith("utf")

    def say(self, line: str, style: str = "") -> None:
        """Print a line. On a terminal it is wrapped between words, never inside one, so that paths can be copied."""
        _print_line(line, style, self.lines)

    def say_styled(self, text: Text) -> None:
        """Print a line that has its own styles."""
        if self.lines.quiet:
            _LOGGER.info("%s", text.plain)
        self.lines.print(text, soft_wrap=not self.lines.is_terminal)

    def note(self, line: str) -> None:
        """Print a line on stderr, in yellow."""
        _print_line(line, "yellow", self.notes)

    def info(self, line: str) -> None:
        """Print a line about the work rather than its result, on stderr."""
        _print_line(line, "", self.notes)

    def show(self, table: Table | Callable[[Collection[str]], Table], dispensable: Sequence[str] = ()) -> None:
        """Print a table that fits the width. Numbers are never broken or cut; columns are left out instead.

        Args:
            table: the table, or a function that makes it without the columns given.
            dispensable: columns that may be left out, in this order.
        """
        console = self.lines
        before = console.width
        for number in range(len(dispensable) + 1):
            shown = table if isinstance(table, Table) else table(dispensable[:number])
            if (least := _least_width(shown, console)) <= before:
                break
        if not console.is_terminal:
            console.width = max(before, least)
        try:
            console.print(shown)
        finally:
            console.width = before

    def print_json(self, found: Mapping[str, Any]) -> None:
        """Print the result for scripts, under --json only."""
        if self.for_scripts:
            sys.stdout.write(json.dumps(found, ensure_ascii=True, allow_nan=False) + "\n")

    def footer(self, rows: FooterRows, *, on_notes: bool = False) -> AbstractContextManager[None]:
        """Keep rows at the bottom of the terminal, if it is one.

        Args:
            rows: their text.
            on_notes: draw on stderr, for commands that write only their result to stdout.
        """
        console = self.notes if on_notes else self.lines
        return footer(console, rows) if is_live(console) else nullcontext()


def _print_line(line: str, style: str, console: Console) -> None:
    """As a `Text`: a style given to print would colour the footer too."""
    if console.quiet:
        _LOGGER.info("%s", line)
    shown = visible(line)  # before rich drops control characters
    console.print(Text(wrapped(shown, console.width) if console.is_terminal else shown, style), soft_wrap=True)


def wrapped(line: str, width: int) -> str:
    """A line wrapped between words; a word longer than the width stays whole."""
    rows = (textwrap.wrap(row, width, break_long_words=False, break_on_hyphens=False) or [""] for row in line.split("\n"))
    return "\n".join(row for broken in rows for row in broken)


_open_screens: list[Screen] = []


def screen() -> Screen:
    """The screen of the running command; a new one outside of any."""
    return _open_screens[-1] if _open_screens else Screen()


def screen_is_open() -> bool:
    """Whether a command or a call of the API has opened a screen."""
    return bool(_open_screens)


@contextmanager
def open_screen(*, for_scripts: bool = False, silent: bool = False) -> Iterator[Screen]:
    """The screen of a command, while the context lasts. A command called by another one shares its screen.

    Args:
        for_scripts: reserve stdout for the line of JSON.
        silent: print nothing.
    """
    if _open_screens:
        yield _open_screens[-1]
        return
    _open_screens.append(Screen(for_scripts=for_scripts, silent=silent))
    try:
        yield _open_screens[-1]
    finally:
        _open_screens.pop()


def say(line: str) -> None:
    """Print a line to the user."""
    screen().say(line)


def note(line: str) -> None:
    """Print a warning or remark to the user."""
    screen().note(line)


def _least_width(table: Table, console: Console) -> int:
    """Least width of a table. `no_wrap` columns get a minimum width, since rich measures their words otherwise."""
    for column in table.columns:
        if column.no_wrap:
            cells = [console.render_str(cell) if isinstance(cell, str) else cell for cell in (column.header, *column.cells)]
            column.min_width = max(cell.cell_len for cell in cells if isinstance(cell, Text))
    return Measurement.get(console, console.options.update(width=1000), table).minimum


def shortened(text: str, width: int) -> str:
    """A long name without its middle: names mostly differ at their ends."""
    kept = width - 3
    return text if len(text) <= width else f"{text[: kept // 2]}...{text[-(kept - kept // 2) :]}"
