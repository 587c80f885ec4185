"""The one maker of consoles. What is printed is text: `[/x]` in a name is that name, not markup, and `:x:` no picture."""

from __future__ import annotations

from rich.console import Console


def new_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A console on stdout or stderr."""
    return Console(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)
