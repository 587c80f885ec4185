"""Item vectors, which histories, losses and the ranking of the catalogue share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ltrec.core.columns import PAD


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
    """An item is its id, and no more."""

    def __init__(self, num_items: int, width: int) -> None:
        super().__init__(num_items + 1, width, padding_idx=PAD)
        self.num_items, self.width = num_items, width

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
