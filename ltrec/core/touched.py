"""Rows of a table: which are asked for, and which of a parameter its gradient may be non-zero in. The latter is noted where the
gradient is made and read where only these rows are to be stepped."""

from __future__ import annotations

from torch import Tensor

_NAME = "touched_rows"


def distinct(ids_N: Tensor) -> Tensor:
    """The distinct ids [R], rising."""
    ids_R: Tensor = ids_N.unique()  # type: ignore[no-untyped-call]
    return ids_R


def note_touched(parameter: Tensor, rows_R: Tensor | None) -> None:
    """Note the rows [R] beside the gradient that is being set; None: any."""
    setattr(parameter, _NAME, rows_R)


def touched_of(parameter: Tensor) -> Tensor | None:
    """The rows [R] that were noted last; None: any may be."""
    rows_R: Tensor | None = getattr(parameter, _NAME, None)
    return rows_R
