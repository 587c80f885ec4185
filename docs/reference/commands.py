"""The page of all commands: what each takes, as its own function says."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import typer

from docs.reference.markdown import table
from ltrec.cli.main import COMMANDS, help_text

HEAD = """\
# Commands

Every command of `ltrec`, from the code; `ltrec COMMAND --help` says the same. An override `key=value` sets a
[setting](configuration.md).
"""


def page() -> str:
    """The page as Markdown."""
    front = f"```text\n{help_text().strip()}\n```\n"
    return "\n".join([HEAD, front, *(section(name, what) for name, what in COMMANDS.items())])


def section(name: str, what: str) -> str:
    """One command: what it is for, its docstring, its arguments and options."""
    function = getattr(importlib.import_module(f"ltrec.cli.commands.{name}"), name)
    app = typer.Typer(add_completion=False)
    app.command(name)(function)
    parameters = typer.main.get_command(app).params
    rows = [row(parameter) for parameter in parameters if parameter.name != "help"]
    story = inspect.cleandoc(function.__doc__ or "")
    return f"## `ltrec {name}`\n\n*{what}*\n\n{story}\n\n{table(('argument or option', 'default', 'meaning'), rows)}"


def row(parameter: Any) -> tuple[str, str, str]:
    """One argument or option."""
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    argument = parameter.param_type_name == "argument"
    default = "" if parameter.default in (None, False, ()) or callable(parameter.default) else f"`{parameter.default}`"
    shown = f"`{parameter.name}`" if argument else names
    return shown, default, parameter.help or ""
