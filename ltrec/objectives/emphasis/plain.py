"""No emphasis: all examples weigh the same."""

from __future__ import annotations

from torch import Tensor

from ltrec.objectives.draw import Gather


class Plain:
    """The identity; an `Emphasis`."""

    coupled = False

    def __init__(self, *, gather: Gather) -> None:
        del gather

    def __call__(self, loss_N: Tensor) -> Tensor:
        """The same losses."""
        return loss_N
