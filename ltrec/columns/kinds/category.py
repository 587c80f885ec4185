"""One of a set of values, such as an event type, a brand or a country: an id, 0 = missing, 1 = unknown or rare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa

from ltrec.columns.kinds.kind import ColumnConfig, Kind, Parsed, Values, ids_fault
from ltrec.columns.kinds.text import LONGEST, as_text, too_long
from ltrec.columns.schema import Column
from ltrec.core.bounds import INT32, Between, check_fields


@dataclass(frozen=True, slots=True)
class CategoryConfig(ColumnConfig):
    """Options of a category."""

    kind: str = "category"
    """One of a set of values, such as an event type, a brand or a country."""
    min_count: Annotated[int, Between(1, INT32)] = 1
    """Values with fewer training occurrences than this are treated as unknown."""

    def __post_init__(self) -> None:
        check_fields(self)


class Category(Kind):
    """A category."""

    encoder = "ltrec.models.inputs.encoders.category"
    staged, storage = pa.string(), pa.int32()

    def __init__(self, options: CategoryConfig) -> None:
        self.options = options

    def parse(self, column: pa.Array, null_values: Sequence[str], what: str) -> Parsed:
        """Text, numbers and truth values, as text."""
        text = as_text(column, null_values, what)
        return Parsed(text, {f"longer than {LONGEST} characters": too_long(text)})

    def fault(self, values: Values, column: Column) -> str | None:
        """Ids outside the vocabulary."""
        return ids_fault(values, column)
