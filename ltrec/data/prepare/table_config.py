"""Item and user tables, with one row per item or user, from which item and user columns are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ltrec.columns.kinds import ColumnConfig
from ltrec.columns.names import check_names
from ltrec.columns.schema import Role


@dataclass(frozen=True, slots=True)
class ItemsConfig:
    """The item table."""

    source: str = ""
    """A file, glob pattern or folder, in any format of logs but sequences; empty = no table."""
    id: str = "item_id"
    """Column with the item id, as in the log."""
    columns: Mapping[str, ColumnConfig] = field(default_factory=dict)
    """Columns to read: name -> kind, or {kind: ..., column: ..., options of the kind}."""

    def __post_init__(self) -> None:
        _check(self, "item")


@dataclass(frozen=True, slots=True)
class UsersConfig:
    """The user table."""

    source: str = ""
    """A file, glob pattern or folder, in any format of logs but sequences; empty = no table."""
    id: str = "user_id"
    """Column with the user id, as in the log."""
    columns: Mapping[str, ColumnConfig] = field(default_factory=dict)
    """Columns to read: name -> kind, or {kind: ..., column: ..., options of the kind}."""

    def __post_init__(self) -> None:
        _check(self, "user")


TableConfig = ItemsConfig | UsersConfig


def _check(table: TableConfig, role: Role) -> None:
    check_names(table.columns, role)
    if not table.id.strip():
        raise ValueError(f"id is empty; name the column that holds the {role} id")
