"""Kinds of columns: one file and one row of the registry each. `kind.py` has the interface. Other packages can add kinds:

COLUMN_KINDS.register("percent", build=Percent, config=PercentConfig)      in a module that `imports:` names
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from typing import Any

from ltrec.columns.kinds.categories import Categories, CategoriesConfig
from ltrec.columns.kinds.category import Category, CategoryConfig
from ltrec.columns.kinds.kind import ColumnConfig, Kind
from ltrec.columns.kinds.number import Number, NumberConfig
from ltrec.columns.kinds.time import Time, TimeConfig
from ltrec.columns.kinds.vector import Vector, VectorConfig
from ltrec.columns.schema import Column
from ltrec.core.errors import UserError
from ltrec.core.extension.registry import Registry, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRow(Row):
    """A kind.

    Attributes:
        config: dataclass of its options, a `ColumnConfig` whose default `kind` is the name of the row.
    """

    build: Callable[[Any], Kind]
    config: type[ColumnConfig]

    def __post_init__(self) -> None:
        if not (is_dataclass(self.config) and issubclass(self.config, ColumnConfig)):
            raise UserError(f"columns.kind={self.name}: config must be a dataclass that extends ColumnConfig; got {self.config!r}")
        if any(f.default is MISSING and f.default_factory is MISSING for f in fields(self.config)):
            raise UserError(f"columns.kind={self.name}: every option of {self.config.__name__} needs a default")
        if self.config().kind != self.name:
            raise UserError(f"columns.kind={self.name}: {self.config.__name__}.kind is {self.config().kind!r}; it must be its name")


COLUMN_KINDS: Registry[KindRow] = Registry("columns.kind", KindRow)
COLUMN_KINDS.register("category", build=Category, config=CategoryConfig)
COLUMN_KINDS.register("categories", build=Categories, config=CategoriesConfig)
COLUMN_KINDS.register("number", build=Number, config=NumberConfig)
COLUMN_KINDS.register("time", build=Time, config=TimeConfig)
COLUMN_KINDS.register("vector", build=Vector, config=VectorConfig)


def kind_of(declared: ColumnConfig) -> Kind:
    """The kind of a declared column."""
    return COLUMN_KINDS[declared.kind].build(declared)


def kind_of_column(column: Column) -> Kind:
    """The kind of a column of a data set, with its options.

    Raises:
        UserError: the kind is not registered, or no longer has these options.
    """
    row = COLUMN_KINDS[column.kind]
    try:
        return row.build(row.config(**column.options))
    except (TypeError, ValueError) as error:
        raise UserError(f"column {column.name!r} of kind {column.kind}: {error}; it was prepared by another version") from None


def options_of(declared: ColumnConfig) -> dict[str, Any]:
    """The options of a declared column as the manifest records them, without its kind and source."""
    return {key: value for key, value in asdict(declared).items() if key not in ("kind", "column")}


__all__ = ["COLUMN_KINDS", "ColumnConfig", "Kind", "KindRow", "kind_of", "kind_of_column", "options_of"]
