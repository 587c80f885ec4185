"""Item vectors, which histories, losses and the ranking of the catalogue share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.core.columns import PAD
from ltrec.models.inputs.touched_rows import TouchedRows


@runtime_checkable
class ItemVectors(Protocol):
    """The interface of a backbone's `items`.

    Attributes:
        num_items: V; ids run from 1 to V, 0 is padding.
        width: D.
    """

    num_items: int
    width: int

    if TYPE_CHECKING:  # from Python 3.12 on isinstance does not see a module's submodules and parameters

        @property
        def weight(self) -> Tensor:
            """The id vectors [V+1, D]."""

    def __call__(self, items: Tensor) -> Tensor:
        """Vectors of items: int64 [...] -> [..., D]; zero for padding."""

    def table(self) -> Tensor:
        """Vectors of all items [V+1, D]; row 0 is zero."""

    def initialise(self, std: float) -> None:
        """Draw the id vectors' initial values, normal with that standard deviation."""


class IdVectors(nn.Embedding):
    """Plain id vectors.

    Attributes:
        touched: the rows that the current step may read, which get the gradients; None = all rows.
    """

    def __init__(self, num_items: int, width: int) -> None:
        super().__init__(num_items + 1, width, padding_idx=PAD)
        self.num_items, self.width = num_items, width
        self.touched: TouchedRows | None = None

    @property
    def in_touch(self) -> TouchedRows | None:
        """The touched rows if gradients are computed, else None."""
        return self.touched if torch.is_grad_enabled() else None

    def forward(self, items: Tensor) -> Tensor:
        """Vectors [..., D]; zero for padding."""
        return self.rows(items)

    def rows(self, items: Tensor | slice) -> Tensor:
        """Vectors of ids [..., D], or of a range. Not a call of the module: ZeRO-3 gathers the weight in the same way for both, so
        ranks may differ in which they need."""
        if isinstance(items, slice):
            return self.weight[items]
        if (touched := self.in_touch) is None:
            return F.embedding(items, self.weight, padding_idx=PAD)
        return F.embedding(touched.place(items), touched.vectors_RD, padding_idx=PAD)

    def table(self) -> Tensor:
        """The weights themselves."""
        return self.weight

    @torch.no_grad()
    def initialise(self, std: float) -> None:
        """Normal; padding is zero."""
        nn.init.normal_(self.weight, std=std)
        self.weight[PAD].zero_()


def layers_of(backbone: nn.Module) -> Iterator[nn.Module]:
    """A backbone's modules without its inputs (`items` and `events`), which initialise themselves."""
    inputs = [module for name in ("items", "events") if isinstance(module := getattr(backbone, name, None), nn.Module)]
    apart = {id(inner) for module in inputs for inner in module.modules()}
    return (module for module in backbone.modules() if id(module) not in apart)
