"""Rich consoles that print plain text: `[/x]` in a name is not markup, and `:x:` is not an emoji.

Secrets are masked, because what a screen shows is kept in the log of a job. Control characters (an escape, a bell, a change of
writing direction) are shown as Python escapes.
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
    """A console that prints only visible characters, and masks secrets."""

    def render_str(self, text: str, **options: Any) -> Text:
        """As in rich, of the visible text, so that its width is measured correctly."""
        return super().render_str(masked(visible(text), secrets_of(os.environ)), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As in rich; a `Text` made elsewhere passes through here as well."""
        for segment in super().render(renderable, options):
            text = masked(visible(segment.text), secrets_of(os.environ))
            yield segment if segment.control else Segment(text, segment.style)


def visible(text: str) -> str:
    """The text with every unprintable character but line ends escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in text)


def new_console(*, stderr: bool = False, quiet: bool = False) -> TextConsole:
    """A console on stdout or stderr."""
    return TextConsole(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)


def is_live(console: Console) -> bool:
    """Whether rows can be redrawn: it is a terminal that can move its cursor. FORCE_COLOR does not make a pipe one."""
    isatty = getattr(console.file, "isatty", None)
    return isatty is not None and bool(isatty()) and not console.is_dumb_terminal and not console.quiet
