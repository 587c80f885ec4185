"""The one owner of the terminal: lines, notes, tables, the rows at its foot, and the line of JSON for scripts all go through it.

    lines     what people read of a command's work       stdout; stderr under --json
    notes     what they should know besides, in yellow   stderr
    answer    one line of JSON                           stdout, under --json alone
    below     rows at the foot of the terminal           where lines go, if that is a terminal that can draw them

Where stdout and stderr end at one terminal both are one console, so that a note never lands in the middle of a row. Where they do
not (`2> notes.txt`), each stays what it is.
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
    """Where a command speaks.

    Args:
        for_scripts: stdout is for `answer` alone.
        silent: nothing is shown; lines go to the logger `ltrec`, at level INFO.
    """

    def __init__(self, *, for_scripts: bool = False, silent: bool = False) -> None:
        self.for_scripts = for_scripts
        self.lines = new_console(stderr=for_scripts, quiet=silent)
        together = for_scripts or silent or same_terminal(sys.stdout, sys.stderr)
        self.notes = self.lines if together else new_console(stderr=True)

    @property
    def is_live(self) -> bool:
        """Whether rows may be drawn below the lines."""
        return is_live(self.lines)

    @property
    def ascii_only(self) -> bool:
        """Whether nothing else can be shown."""
        return not self.lines.encoding.startswith("utf")

    def say(self, line: str, style: str = "") -> None:
        """A line. A terminal gets it broken between words, and never inside one, so that paths can be copied from it."""
        _print_line(line, style, self.lines)

    def say_styled(self, text: Text) -> None:
        """A line with styles of its own."""
        if self.lines.quiet:
            _LOGGER.info("%s", text.plain)
        self.lines.print(text, soft_wrap=not self.lines.is_terminal)

    def note(self, line: str) -> None:
        """A line on stderr."""
        _print_line(line, "yellow", self.notes)

    def remark(self, line: str) -> None:
        """A line about the work rather than of its result: on stderr."""
        _print_line(line, "", self.notes)

    def show(self, table: Table | Callable[[Collection[str]], Table], dispensable: Sequence[str] = ()) -> None:
        """A table that fits the width: no number is ever broken or cut, columns are left out instead.

        Args:
            table: it, or what makes it without some columns.
            dispensable: columns that may be left out, the first first.
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

    def answer(self, found: Mapping[str, Any]) -> None:
        """What a script asked for."""
        if self.for_scripts:
            sys.stdout.write(json.dumps(found, ensure_ascii=True, allow_nan=False) + "\n")

    def below(self, rows: FooterRows, *, on_notes: bool = False) -> AbstractContextManager[None]:
        """Keep rows at the foot of the terminal, if it is one.

        Args:
            rows: what they say.
            on_notes: of stderr, for work whose result alone goes to stdout.
        """
        console = self.notes if on_notes else self.lines
        return footer(console, rows) if is_live(console) else nullcontext()


def _print_line(line: str, style: str, console: Console) -> None:
    """A style of print's own would colour the rows below, too; hence a `Text`."""
    if console.quiet:
        _LOGGER.info("%s", line)
    shown = visible(line)  # before rich drops some of it
    console.print(Text(wrapped(shown, console.width) if console.is_terminal else shown, style), soft_wrap=True)


def wrapped(line: str, width: int) -> str:
    """Broken between words; a word that is longer than the width stays whole."""
    rows = (textwrap.wrap(row, width, break_long_words=False, break_on_hyphens=False) or [""] for row in line.split("\n"))
    return "\n".join(row for broken in rows for row in broken)


_stack: list[Screen] = []


def screen() -> Screen:
    """The screen of the command that runs; a new one outside any."""
    return _stack[-1] if _stack else Screen()


def is_speaking() -> bool:
    """Whether a command, or a call of the API, owns the terminal."""
    return bool(_stack)


@contextmanager
def speaking(*, for_scripts: bool = False, silent: bool = False) -> Iterator[Screen]:
    """Own the terminal for the length of a command; one that another command calls speaks through the same screen.

    Args:
        for_scripts: stdout is for the line of JSON alone.
        silent: nothing is shown.
    """
    if _stack:
        yield _stack[-1]
        return
    _stack.append(Screen(for_scripts=for_scripts, silent=silent))
    try:
        yield _stack[-1]
    finally:
        _stack.pop()


def say(line: str) -> None:
    """A line to the user."""
    screen().say(line)


def note(line: str) -> None:
    """A line to the user that matters though nobody asked."""
    screen().note(line)


def _least_width(table: Table, console: Console) -> int:
    """Of a table; columns that must not be broken are told so, for rich would measure their words."""
    for column in table.columns:
        if column.no_wrap:
            cells = [console.render_str(cell) if isinstance(cell, str) else cell for cell in (column.header, *column.cells)]
            column.min_width = max(cell.cell_len for cell in cells if isinstance(cell, Text))
    return Measurement.get(console, console.options.update(width=1000), table).minimum


def shortened(text: str, width: int) -> str:
    """A long name with its middle left out, for what tells names apart is at their ends."""
    kept = width - 3
    return text if len(text) <= width else f"{text[: kept // 2]}...{text[-(kept - kept // 2) :]}"
