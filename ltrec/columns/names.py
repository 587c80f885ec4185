"""Names that columns may have."""

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
"""Names that mean something already."""


def check_names(names: Iterable[str], role: Role) -> None:
    """Check the names of columns of one role.

    Raises:
        ValueError: a name that is none, or is taken.
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a column; use letters, digits and _, at most 64, no digit first")
        if name in RESERVED[role]:
            raise ValueError(
                f"{name!r} cannot name an {role} column, it has a meaning already; use another name and column: {name}"
            )


def unknown_column(data: object, role: Role, name: str, known: Collection[str]) -> UserError:
    """What to say of a column that a data set, called `data` in the message, does not have."""
    return UserError(f"{data} has no {role} column {name!r}{nearest(name, known)}; it has {', '.join(known) or 'none'}")
