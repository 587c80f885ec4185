"""The page of the Python API: every public name of the package, and of the rooms that are public as a whole."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import ltrec

HEAD = """\
# Python API

`import ltrec` loads nothing else; each name below is loaded when it is first used. Errors that a user can mend are
`ltrec.UserError`.
"""

ROOMS = ("aggregation", "objectives", "models.backbones", "models.plugins", "strategy", "data.stream")
"""Packages whose `__all__` is public."""

_HEADING = re.compile(r"^(Args|Raises|Returns|Attributes|Yields):$")
_ENTRY = re.compile(r"^    (\*{0,2}\w[\w ,.]*): ?(.*)$")


def page() -> str:
    """The page as Markdown."""
    own = [entry("ltrec", name, getattr(ltrec, name)) for name in ltrec.__all__ if name != "__version__"]
    return "\n".join([HEAD, "## `ltrec`\n", *own, *map(room, ROOMS)])


def room(name: str) -> str:
    """A package: its docstring, and what it offers."""
    module = importlib.import_module(f"ltrec.{name}")
    names = getattr(module, "__all__", [])
    entries = [entry(module.__name__, one, getattr(module, one)) for one in names]
    return "\n".join([f"## `{module.__name__}`\n", story(inspect.getdoc(module) or ""), *entries])


def entry(home: str, name: str, thing: Any) -> str:
    """A function or a class with its signature and docstring; of anything else its name alone."""
    heading = f"### `{home}.{name}`\n"
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        return heading
    parts = [heading, f"```python\n{name}{signature(thing)}\n```\n", story(own_doc(thing))]
    if inspect.isclass(thing):
        parts += [method(name, key, value) for key, value in vars(thing).items() if not key.startswith("_")]
    return "\n".join(part for part in parts if part)


def method(owner: str, name: str, thing: Any) -> str:
    """A method or property of a class, in short; the empty string for a field."""
    function = getattr(thing, "fget", None) or getattr(thing, "__func__", thing)
    if not inspect.isfunction(function):
        return ""
    shown = f"{owner}.{name}" if isinstance(thing, property) else f"{owner}.{name}{signature(function)}"
    return f"```python\n{shown}\n```\n\n{story(own_doc(function))}"


def own_doc(thing: Any) -> str:
    """The docstring as written; a dataclass's made-up one, which repeats the signature, counts as none."""
    text = inspect.cleandoc(thing.__doc__ or "")
    return "" if text.startswith(f"{thing.__name__}(") else text


def signature(thing: Any) -> str:
    """The signature, one parameter a line where it is long."""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    flat = str(found).replace("'", "")
    if len(flat) <= 100:
        return flat
    parameters = ",\n    ".join(str(parameter).replace("'", "") for parameter in found.parameters.values())
    result = "" if found.return_annotation is inspect.Signature.empty else f" -> {found.return_annotation}".replace("'", "")
    return f"(\n    {parameters},\n){result}"


def story(text: str) -> str:
    """A docstring as Markdown: its sections become lists, the rest stays."""
    lines, inside = [], False
    for line in text.splitlines():
        if heading := _HEADING.match(line):
            inside = True
            lines += [f"**{heading[1]}**", ""]
        elif inside and (found := _ENTRY.match(line)):
            lines.append(f"* `{found[1]}`: {found[2]}")
        else:
            inside = inside and (line.startswith(" ") or not line)
            lines.append(f"  {line.strip()}" if inside and line.strip() else line)
    return "\n".join(lines) + "\n"
