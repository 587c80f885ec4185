"""The rows of an item table that a step touches, in the place of the whole table.

While they stand in for it, ids are looked up among them, and autograd sees a leaf [R, D] where it would see [V+1, D]: gradients are
as small as what was touched. Values are those of the table, so are losses; an id that is not among them is an error, never a wrong
vector.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class TouchedRows:
    """R rows of a table of V+1.

    Attributes:
        vectors_RD: their values, a leaf; row 0 is padding.
        row_V: int64 [V+1], each item's place among them; beyond their end for an item that is not there.
    """

    vectors_RD: nn.Parameter
    row_V: Tensor

    def place(self, items: Tensor) -> Tensor:
        """The rows of items, shape kept."""
        return self.row_V[items]
