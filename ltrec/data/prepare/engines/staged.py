"""The staged rows, as the choice of the form of their times sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Staged(Protocol):
    """The staged rows without a reason, while the form of their times is chosen. Expressions and conditions are DuckDB's."""

    def count(
        self, conditions: Sequence[str], where: str = "true", unless: str = "", *, sample: int = 0, first: int = 0
    ) -> list[int]:
        """How many rows meet each condition.

        Args:
            conditions: the conditions.
            where: a condition for all rows that are looked at.
            unless: rows that meet it are not counted.
            sample: look at about so many rows that meet `where`; 0 = all.
            first: look at the first rows that meet `where`; 0 = all.
        """
        ...

    def first(self, expression: str, where: str = "true") -> Any:
        """The value of an expression for one row that meets the condition; None if there is none."""
        ...

    def convert(self, values: Mapping[str, str], where: str) -> None:
        """Give columns of the rows that meet the condition new values: column -> expression."""
        ...
