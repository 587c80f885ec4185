"""Deferred imports: torch and Lightning take seconds, and a command that reads settings needs neither.

    BACKBONES.register("sasrec", config=SASRecConfig, build="ltrec.models.backbones.sasrec:SASRec")       a row of a registry
    __getattr__ = names_of(__name__, {"SASRec": "ltrec.models.backbones.sasrec"})                          a package's public names

    if TYPE_CHECKING:                                                                                      a function of a command,
        from ltrec.run.smoke import smoke_test                                                             with its types
    else:
        smoke_test = Deferred("ltrec.run.smoke:smoke_test")

The ways there are, and no import inside a function. A string names a module of ltrec and a name in it; tests resolve every one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from ltrec.core.errors import UserError, first_line


class Deferred:
    """A callable that is named, and imported with its first call.

    Args:
        path: ``module:name``.
    """

    __slots__ = ("_found", "module", "name")

    def __init__(self, path: str) -> None:
        self.module, _, self.name = path.partition(":")
        assert self.module and self.name, path
        self._found: Callable[..., Any] | None = None

    def resolve(self) -> Callable[..., Any]:
        """The named object, imported if need be.

        Raises:
            UserError: there is no such module, or no such name in it; a row from outside names what is not there.
        """
        if self._found is None:
            try:
                self._found = getattr(import_module(self.module), self.name)
            except (ModuleNotFoundError, AttributeError) as error:
                raise UserError(
                    f"{self.module}:{self.name}, named by a registered row, is not there ({first_line(error)})"
                ) from error
        return self._found

    def __call__(self, *positional: Any, **named: Any) -> Any:
        """Call the named object."""
        return self.resolve()(*positional, **named)

    def __repr__(self) -> str:
        return f"Deferred({self.module}:{self.name})"


def names_of(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """A package's `__getattr__` (PEP 562): each public name is loaded from its home on first use.

    Args:
        package: its `__name__`.
        homes: name -> module that defines it.
    """

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return load
