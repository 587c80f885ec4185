"""Variants by name: one row for each, and one place where a package outside this one adds its own.

    BACKBONES.register("mine", config=MineConfig, build=Mine, has_states=True)      in any module that `imports:` names

A row holds all that is known about a variant before it is built: the dataclass of its options, the function that builds it, and its
capabilities, which are fields of the row. Code that depends on a capability checks the row, never the name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, make_dataclass
from typing import Any, ClassVar, Generic, TypeVar

from ltrec.core.errors import UserError, nearest
from ltrec.core.extension.deferred import Deferred

T = TypeVar("T")

_PLACE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a registry.

    Attributes:
        name: how a config calls it.
        build: what makes it, or the function that it is; registered as ``module:name``, it is imported with its first call.
    """

    name: str
    build: Callable[..., Any]

    @property
    def module(self) -> str:
        """Module that defines it."""
        if isinstance(self.build, Deferred):
            return self.build.module
        return str(getattr(self.build, "__module__", type(self.build).__module__))


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant(Row, Generic[T]):
    """A row with options of its own.

    Attributes:
        config: dataclass of the options, all with defaults, one of them `name`; none where left out; a subclass of `extends`.
        needs: which of the parts that every variant is offered (`offers`) `build` takes, besides its options.
    """

    offers: ClassVar[tuple[str, ...]] = ()
    extends: ClassVar[type] = object
    build: Callable[..., T]
    config: type[Any]
    needs: tuple[str, ...] = ()

    def make(self, *positional: Any, **given: Any) -> T:
        """Build it from its options and, of all parts that are offered, those that it needs."""
        taken = {key: value for key, value in given.items() if key in self.needs or key not in self.offers}
        return self.build(*positional, **taken)


def without_options(name: str) -> type[Any]:
    """The config of a variant that has none: a dataclass that holds its name."""
    return make_dataclass("WithoutOptions", [("name", str, field(default=name))], frozen=True)


R = TypeVar("R", bound=Row)


class Registry(Generic[R]):
    """Rows by name, in the order in which they were registered.

    Args:
        key: the setting that chooses among them, for messages: ``model.name``.
        row: dataclass of a row.
    """

    def __init__(self, key: str, row: type[R]) -> None:
        self.key = key
        self._row = row
        self._rows: dict[str, R] = {}

    def register(self, name: str, **row: Any) -> None:
        """Add a row.

        Args:
            name: not yet taken.
            row: the row's fields: `build`, a callable or ``module:name``, for a variant with options `config` and `needs`, and its
                capabilities.

        Raises:
            UserError: the name is taken, or the row is not one of this registry's.
        """
        if not _NAME.fullmatch(name):
            raise UserError(f"{self.key}: {name!r} cannot be registered; a name is letters, digits, '_', '-' and '.'")
        if name in self._rows:
            raise UserError(f"{self.key}={name} is registered already, by {self._rows[name].module}; choose another name")
        if issubclass(self._row, Variant) and "config" not in row:
            row["config"] = without_options(name)
        self._refuse_fields(name, row)
        if isinstance(row["build"], str):
            if not _PLACE.fullmatch(row["build"]):
                raise UserError(f"{self.key}={name}: build={row['build']!r} is no module:name, as in my_package.models:Mine")
            row["build"] = Deferred(row["build"])
        made = self._row(name=name, **row)
        if isinstance(made, Variant):
            self._refuse_config(made)
        self._rows[name] = made

    def remove(self, name: str) -> None:
        """Take a row out again, so that a notebook's cell may be run twice."""
        self[name]
        del self._rows[name]

    def configs(self) -> dict[str, type[Any]]:
        """name -> dataclass of its options, of all that are registered now."""
        return {name: row.config for name, row in self._rows.items() if isinstance(row, Variant)}

    def where(self, capability: str, value: object = True) -> tuple[str, ...]:
        """The names whose row has that capability."""
        return tuple(name for name, row in self._rows.items() if getattr(row, capability) == value)

    def unknown(self, name: object) -> str:
        """The error for an unknown name."""
        return f"unknown {self.key} {name!r}{nearest(str(name), self._rows)}; known: {', '.join(self._rows)}"

    def _refuse_fields(self, name: str, row: dict[str, Any]) -> None:
        known = {f.name for f in fields(self._row)} - {"name"}
        for key in sorted(row.keys() - known):
            raise UserError(f"{self.key}={name}: a row has no {key!r}{nearest(key, known)}; it has {', '.join(sorted(known))}")
        required = {f.name for f in fields(self._row) if f.default is MISSING} - {"name"}
        for key in sorted(required - row.keys()):
            raise UserError(f"{self.key}={name}: a row needs {key!r}")

    def _refuse_config(self, row: Variant[Any]) -> None:
        if not (isinstance(row.config, type) and is_dataclass(row.config) and "name" in {f.name for f in fields(row.config)}):
            raise UserError(f"{self.key}={row.name}: config must be a dataclass with a field 'name'; got {row.config!r}")
        if not issubclass(row.config, row.extends):
            raise UserError(f"{self.key}={row.name}: {row.config.__name__} must extend {row.extends.__name__}")
        try:
            default: Any = row.config()
        except TypeError as error:
            raise UserError(f"{self.key}={row.name}: every option of {row.config.__name__} needs a default ({error})") from None
        if default.name != row.name:
            raise UserError(f"{self.key}={row.name}: {row.config.__name__}.name is {default.name!r}; it must be {row.name!r}")
        for part in row.needs:
            if part not in row.offers:
                raise UserError(f"{self.key}={row.name}: needs {part!r}, which is not offered; offered: {', '.join(row.offers)}")

    def __getitem__(self, name: str) -> R:
        """The row of a name.

        Raises:
            UserError: the name is not registered; the message has the nearest and all known names.
        """
        if name not in self._rows:
            raise UserError(self.unknown(name))
        return self._rows[name]

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)
