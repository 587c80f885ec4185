"""Where columns of items and users come from: tables beside the log, one row per item or user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ltrec.columns.kinds import ColumnConfig
from ltrec.columns.names import check_names
from ltrec.columns.schema import Role


@dataclass(frozen=True, slots=True)
class ItemsConfig:
    """A table of items."""

    source: str = ""
    """A file, glob pattern or folder, in any format of logs but sequences; empty = there is none."""
    id: str = "item_id"
    """Column with the item id, as in the log."""
    columns: Mapping[str, ColumnConfig] = field(default_factory=dict)
    """Columns to take: name -> kind, or {kind: ..., column: ..., and options of the kind}."""

    def __post_init__(self) -> None:
        _check(self, "item")


@dataclass(frozen=True, slots=True)
class UsersConfig:
    """A table of users."""

    source: str = ""
    """A file, glob pattern or folder, in any format of logs but sequences; empty = there is none."""
    id: str = "user_id"
    """Column with the user id, as in the log."""
    columns: Mapping[str, ColumnConfig] = field(default_factory=dict)
    """Columns to take: name -> kind, or {kind: ..., column: ..., and options of the kind}."""

    def __post_init__(self) -> None:
        _check(self, "user")


TableConfig = ItemsConfig | UsersConfig


def _check(table: TableConfig, role: Role) -> None:
    check_names(table.columns, role)
    if not table.id.strip():
        raise ValueError(f"id is empty; name the column with the {role} id")
