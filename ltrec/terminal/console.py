"""The one maker of consoles. What is printed is text: `[/x]` in a name is that name, not markup, and `:x:` no picture.

Secrets are masked, for what is shown on a screen is kept in the log of a job. Characters that would steer the terminal (an escape,
a bell, a change of direction) are shown as Python would write them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from ltrec.core.secrets import masked, secrets_of


class TextConsole(Console):
    """A console that passes no character of a text on to the terminal but those that can be seen."""

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich does, after the text was made visible, so that what is measured is what is shown."""
        return super().render_str(masked(visible(text), secrets_of(os.environ)), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does; here passes also what was made a `Text` elsewhere."""
        for segment in super().render(renderable, options):
            text = masked(visible(segment.text), secrets_of(os.environ))
            yield segment if segment.control else Segment(text, segment.style)


def visible(text: str) -> str:
    """The text with an escape in place of each character that cannot be seen; ends of lines stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in text)


def new_console(*, stderr: bool = False, quiet: bool = False) -> TextConsole:
    """A console on stdout or stderr."""
    return TextConsole(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)


def is_live(console: Console) -> bool:
    """Whether rows may be drawn and drawn again: a terminal that can move its cursor, whatever FORCE_COLOR says of a pipe."""
    isatty = getattr(console.file, "isatty", None)
    return isatty is not None and bool(isatty()) and not console.is_dumb_terminal and not console.quiet
