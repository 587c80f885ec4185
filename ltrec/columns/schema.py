"""What a column is, as the manifest records it, and which columns somebody asks for.

Ids of a categorical: 0 = missing, 1 = unknown or too rare for an id of its own, from 2 on the values by falling count.
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
        name: what the config calls it.
        kind: a row of the table of kinds.
        role: what it says something of.
        size: number of ids of a categorical, missing and unknown included; width of a vector; 1 of a number or a time.
        unit: of its values, for readers; empty where there is none.
        options: of its kind, as declared.
        statistics: of its training values: share missing, mean, standard deviation, least, greatest.
        file: path of its values in the order of their ids, of a categorical; else empty.
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
    """All columns of a data set, in the order of their declaration; names are unique within a role.

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
        """The columns of that role by name."""
        return {column.name: column for column in self.columns if column.role == role}


NO_COLUMNS = Schema()
"""Of a data set of user, item and time alone."""


@dataclass(frozen=True, slots=True)
class Projection:
    """The columns that a reader of the stream asks for; what nobody asks for is not read.

    Attributes:
        events: names of event columns. `time` is always there: seconds since 1970, or what the log's order counts.
        users: names of user columns.
    """

    events: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.events or self.users)


NOTHING_ASKED = Projection()
"""Items alone."""
