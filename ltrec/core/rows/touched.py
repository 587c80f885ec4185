"""Touched rows of a table: distinct ids, and the rows in which the gradient of a parameter may be non-zero.

The rows are attached to the parameter when its gradient is set (`note_touched`), and read by optimisers that step only these rows
(`touched_of`); no other module knows the attribute.
"""

from __future__ import annotations

import torch
from torch import Tensor

_NAME = "touched_rows"


def distinct(ids_N: Tensor) -> Tensor:
    """The distinct ids [R], ascending."""
    ids_R: Tensor = ids_N.unique()  # type: ignore[no-untyped-call]
    return ids_R


def compact(ids_N: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct ids, ascending, and id 0 in what is left of N places; and the place of each of `ids_N`. 0 is one of them.

    Of a size that does not depend on values, so that the host need not wait for an accelerator to tell it.
    """
    sorted_N, order_N = ids_N.sort()
    place_N = torch.cat([sorted_N.new_zeros(1), (sorted_N[1:] != sorted_N[:-1]).long()]).cumsum(0)
    ids_R = torch.zeros_like(ids_N).index_copy(0, place_N, sorted_N)
    return ids_R, torch.empty_like(place_N).index_copy(0, order_N, place_N)


def note_touched(parameter: Tensor, rows_R: Tensor | None) -> None:
    """Attach the rows [R] of the gradient that is being set; None = any rows."""
    setattr(parameter, _NAME, rows_R)


def touched_of(parameter: Tensor) -> Tensor | None:
    """The rows [R] that were attached last; None = any rows."""
    rows_R: Tensor | None = getattr(parameter, _NAME, None)
    return rows_R
