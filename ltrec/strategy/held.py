"""What this rank holds of the weights: all of them where they are replicated. Whoever follows or exchanges weights asks here."""

from __future__ import annotations

from typing import Protocol

from pytorch_lightning.strategies import Strategy
from torch import Tensor


class Held(Protocol):
    """A rank's parts of all parameters, tied ones once."""

    @property
    def names(self) -> list[str]:
        """As in the module's state dict."""

    def tensors(self) -> list[Tensor]:
        """The parts, float32, in the same order; they share their memory with the module."""

    def cut(self, name: str, whole: Tensor) -> Tensor:
        """This rank's part of a whole parameter."""


class Replicated:
    """Every rank holds everything."""

    def __init__(self, strategy: Strategy) -> None:
        assert strategy.lightning_module is not None
        named = list(strategy.lightning_module.named_parameters())
        self.names, self._tensors = [name for name, _ in named], [parameter.detach() for _, parameter in named]

    def tensors(self) -> list[Tensor]:
        """The parameters."""
        return self._tensors

    def cut(self, name: str, whole: Tensor) -> Tensor:
        """All of it."""
        return whole


def held_by(strategy: Strategy) -> Held:
    """What a strategy, once it is set up, holds on this rank."""
    return Replicated(strategy)
