"""Valid names of columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from ltrec.columns.schema import Role
from ltrec.core.errors import UserError, nearest

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
RESERVED: dict[Role, tuple[str, ...]] = {
    "event": ("all", "time", "time_gap", "weight"),
    "item": ("all", "item", "item_id"),
    "user": ("all", "user_id"),
}
"""Names that already have a meaning."""


def check_names(names: Iterable[str], role: Role) -> None:
    """Check the names of columns of one role.

    Raises:
        ValueError: an invalid or reserved name.
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid column name; use letters, digits and _, at most 64, and no digit first")
        if name in RESERVED[role]:
            raise ValueError(f"{name!r} is a reserved name for {role} columns; use another name, with column: {name}")


def unknown_column(data: object, role: Role, name: str, known: Collection[str]) -> UserError:
    """The error for a column that a data set does not have; `data` is what the message calls the data set."""
    return UserError(f"{data} has no {role} column {name!r}{nearest(name, known)}; it has {', '.join(known) or 'none'}")
