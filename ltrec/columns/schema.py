"""Columns as the manifest records them, and the columns that a reader requests.

Ids of a categorical column: 0 = missing, 1 = unknown or too rare to have its own id, from 2 on the values by descending count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from ltrec.core.bounds import INT32, Between, check_fields

MISSING, UNKNOWN, FIRST_VALUE = 0, 1, 2

Role = Literal["event", "item", "user"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a prepared data set.

    Attributes:
        name: its name in the config.
        kind: its key in `COLUMN_KINDS`.
        role: what it describes.
        size: number of ids of a categorical, including missing and unknown; width of a vector; 1 for a number or a time.
        unit: of its values, for display; empty if it has none.
        options: those of its kind, as declared.
        statistics: of its training values: share missing, mean, standard deviation, minimum, maximum.
        file: path of its vocabulary (values in the order of their ids) if it is categorical; else empty.
    """

    name: str
    kind: str
    role: Role
    size: Annotated[int, Between(1, INT32)] = 1
    unit: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    statistics: dict[str, float] = field(default_factory=dict)
    file: str = ""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class Schema:
    """All columns of a data set, in the order of declaration; names are unique within a role.

    Attributes:
        columns: of events, items and users.
        weight: whether every event has a weight.
    """

    columns: tuple[Column, ...] = ()
    weight: bool = False

    def __bool__(self) -> bool:
        return bool(self.columns) or self.weight

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def of(self, role: Role) -> dict[str, Column]:
        """The columns of a role, by name."""
        return {column.name: column for column in self.columns if column.role == role}


NO_COLUMNS = Schema()
"""The schema of a data set with only user, item and time."""


@dataclass(frozen=True, slots=True)
class Projection:
    """The columns that a reader of the stream requests; no others are read from disk.

    Attributes:
        events: names of event columns. `time` always exists: seconds since 1970, or the position in a log without times.
        users: names of user columns.
    """

    events: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.events or self.users)


ITEMS_ONLY = Projection()
"""No columns besides item ids."""
