"""Declared columns with their kinds, as the rest of prepare uses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ltrec.columns.kinds import ColumnConfig, Kind, kind_of, options_of
from ltrec.columns.kinds.kind import Values
from ltrec.columns.kinds.number import NumberConfig
from ltrec.columns.schema import Column, Role
from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import identifier

_PREFIX: dict[Role, str] = {"event": c.EVENT, "item": c.ITEM_PREFIX, "user": c.USER}
_SQL = {
    pa.string(): "VARCHAR",
    pa.list_(pa.string()): "VARCHAR[]",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.int64(): "BIGINT",
    pa.int32(): "INTEGER",
    pa.int16(): "SMALLINT",
    pa.int8(): "TINYINT",
}


@dataclass(frozen=True, slots=True)
class Declared:
    """One column.

    Attributes:
        name: its name in the config.
        role: what it describes.
        source: its name in the source.
        config: its declaration.
        kind: its kind.
        is_weight: whether it is the weight of the events.
    """

    name: str
    role: Role
    source: str
    config: ColumnConfig
    kind: Kind
    is_weight: bool = False

    @property
    def field(self) -> str:
        """Its name in tables."""
        return c.WEIGHT if self.is_weight else _PREFIX[self.role] + self.name

    @property
    def sql_type(self) -> str:
        """The engine's type of parsed values."""
        return _SQL[self.kind.staged]

    @property
    def vocabulary(self) -> str:
        """Quoted SQL name of the table with its distinct values."""
        return identifier(f"vocabulary of {self.field}")

    def described(self, size: int, statistics: dict[str, float], file: str = "") -> Column:
        """Its entry in the manifest."""
        unit = str(getattr(self.config, "unit", ""))
        return Column(self.name, self.config.kind, self.role, size, unit, options_of(self.config), statistics, file)

    def is_missing(self, values: Values) -> npt.NDArray[np.bool_]:
        """Mask [N] of stored values or codes, [N] or [N, width], that mean "missing"."""
        missing = np.isnan(values) if self.kind.missing != self.kind.missing else values == self.kind.missing
        return np.asarray(missing if values.ndim == 1 else missing.all(axis=1))


def event_columns(config: PrepareConfig) -> tuple[Declared, ...]:
    """Event columns in the order of the shards; the weight comes last.

    Raises:
        UserError: a kind that event columns cannot have.
    """
    found = declared(config.event_columns, "event", "`event_columns`")
    if config.weight:
        found += (Declared(c.WEIGHT, "event", config.weight, NumberConfig(), kind_of(NumberConfig()), is_weight=True),)
    return found


def declared(columns: Mapping[str, ColumnConfig], role: Role, key: str) -> tuple[Declared, ...]:
    """The columns of one section of the config.

    Raises:
        UserError: a kind that columns of this role cannot have, or a required option is missing.
    """
    found = []
    for name, config in columns.items():
        try:
            kind = kind_of(config)
        except UserError as error:
            raise UserError(f"{key}.{name}: {error}") from None
        if role not in kind.roles:
            able = " and ".join(f"{other} columns" for other in kind.roles)
            raise UserError(f"{key}.{name} is of kind {config.kind}, which only {able} can be")
        found.append(Declared(name, role, config.column or name, config, kind))
    return tuple(found)


def also(columns: Iterable[Declared]) -> str:
    """SQL that appends the columns to a list of columns."""
    return "".join(f", {identifier(column.field)}" for column in columns)
