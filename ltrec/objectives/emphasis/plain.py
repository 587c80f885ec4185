"""No emphasis: all examples weigh the same."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ltrec.objectives.draw import Gather


@dataclass(frozen=True, slots=True)
class PlainConfig:
    """Losses as they are."""

    name: str = "none"
    """Key in EMPHASES."""


class Plain:
    """The identity; an `Emphasis`."""

    coupled = False

    def __init__(self, *, gather: Gather) -> None:
        del gather

    def __call__(self, loss_N: Tensor) -> Tensor:
        """The same losses."""
        return loss_N
