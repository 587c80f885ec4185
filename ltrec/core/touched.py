"""Touched rows of a table: distinct ids, and the rows in which the gradient of a parameter may be non-zero.

The rows are attached to the parameter when its gradient is set (`note_touched`), and read by optimisers that step only these rows
(`touched_of`); no other module knows the attribute.
"""

from __future__ import annotations

from torch import Tensor

_NAME = "touched_rows"


def distinct(ids_N: Tensor) -> Tensor:
    """The distinct ids [R], ascending."""
    ids_R: Tensor = ids_N.unique()  # type: ignore[no-untyped-call]
    return ids_R


def note_touched(parameter: Tensor, rows_R: Tensor | None) -> None:
    """Attach the rows [R] of the gradient that is being set; None = any rows."""
    setattr(parameter, _NAME, rows_R)


def touched_of(parameter: Tensor) -> Tensor | None:
    """The rows [R] that were attached last; None = any rows."""
    rows_R: Tensor | None = getattr(parameter, _NAME, None)
    return rows_R
