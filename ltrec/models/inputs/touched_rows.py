"""The rows of an item table that a step touches, which replace the whole table.

Meanwhile ids are looked up among these rows, and autograd sees a leaf [R, D] instead of [V+1, D], so gradients have only the
touched rows. Values and losses are those of the whole table; an id that is not among the rows is an error, never a wrong vector.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class TouchedRows:
    """R rows of a table of V+1.

    Attributes:
        vectors_RD: their values, a leaf; row 0 is padding.
        row_V: int64 [V+1], row of each item; beyond the last row for an item that is not among them.
    """

    vectors_RD: nn.Parameter
    row_V: Tensor

    def place(self, items: Tensor) -> Tensor:
        """The rows of items; same shape."""
        return self.row_V[items]
