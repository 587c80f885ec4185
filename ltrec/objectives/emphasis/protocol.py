"""The interface of an emphasis."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


class Emphasis(Protocol):
    """`coupled`: whether an example's new loss depends on the other examples of the micro-batch."""

    coupled: bool

    def __call__(self, loss_N: Tensor) -> Tensor:
        """Reweighted losses [N], which are minimised."""


@runtime_checkable
class Choice(Protocol):
    """An Emphasis that weights examples (targets or users)."""

    def weights(self, loss_N: Tensor, mass_N: Tensor | None = None) -> Tensor:
        """Weights [N], without a gradient.

        Args:
            loss_N: of every example.
            mass_N: how much each example counts already, by the weights of the events; None: one each.
        """
