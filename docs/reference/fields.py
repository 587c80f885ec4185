"""A dataclass as rows: of each field its name, type, default, bounds, and the docstring under it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from ltrec.config.convert import describe
from ltrec.core.bounds import Between, Bound, bounds_of


@dataclass(frozen=True, slots=True)
class Row:
    """One setting.

    Attributes:
        name: of the field.
        kind: what it may hold, in words.
        default: as YAML has it.
        meaning: the docstring under the field.
    """

    name: str
    kind: str
    default: str
    meaning: str


def rows_of(config: type) -> list[Row]:
    """The fields that hold no section of their own."""
    hints, bounds, meanings = get_type_hints(config), bounds_of(config), meanings_of(config)
    found = []
    for field in fields(config):
        default = default_of(field)
        if not is_dataclass(default):
            kind = kind_of(hints[field.name], bounds.get(field.name))
            found.append(Row(field.name, kind, shown(default), meanings.get(field.name, "")))
    return found


def default_of(field: Field[Any]) -> Any:
    """What the field holds when nobody says anything."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def kind_of(hint: Any, bound: Bound | None) -> str:
    """The type in words, with its bounds."""
    kind = describe(hint)
    if isinstance(bound, Between):
        return f"{kind}, {range_of(bound)}"
    names = () if bound is None else tuple(bound.names)
    return kind.replace("text", " or ".join(f"`{name}`" for name in names)) if names else kind


def range_of(bound: Between) -> str:
    """``0 to 1``, ``above 0 to 10``."""
    low, high = f"{bound.low:.15g}", f"{bound.high:.15g}"
    return f"{'above ' if bound.above else ''}{low} to {'below ' if bound.below else ''}{high}"


def shown(value: Any) -> str:
    """A value as a config file has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {shown(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(shown, value))}]"
    return repr(value) if value == "" else str(value) if isinstance(value, str | Path) else f"{value:.15g}"


@cache
def meanings_of(config: type) -> dict[str, str]:
    """Field -> the string under it in the source, of the class and those that it inherits from."""
    found: dict[str, str] = {}
    for owner in reversed(config.__mro__[:-1]):
        tree = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(tree, ast.ClassDef)
        for statement, below in zip(tree.body, tree.body[1:], strict=False):
            match statement, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str() as text)):
                    found[name] = inspect.cleandoc(text)
    return found
