"""The parameters as this rank holds them: whole where they are replicated, 1/W of each where they are sharded.

For whoever averages the weights, or swaps others in for a while: what to read and what to write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from pytorch_lightning.strategies import Strategy
from torch import Tensor, nn
from torch.optim import Optimizer

from ltrec.distributed.fsdp2.full_state import shard_like
from ltrec.distributed.fsdp2.sharded_module import ShardedModule, local


class LocalParameters(Protocol):
    """A rank's parts of all parameters, tied ones once."""

    @property
    def names(self) -> Sequence[str]:
        """Of the parameters, as in the module's state dict."""

    @property
    def optimizers(self) -> Sequence[Optimizer]:
        """Torch's own, which step on this rank, whatever wraps them."""

    def tensors(self) -> list[Tensor]:
        """The parts, float32, in the same order; they share their memory with the module."""

    def part_of(self, name: str, whole: Tensor) -> Tensor:
        """This rank's part of a whole parameter."""

    def after_write(self) -> None:
        """The parts were written: the module must see them. Every rank calls this."""

    def update_optimizer_copies(self) -> None:
        """What was written is trained from now on. Every rank calls this, after `written`."""


@runtime_checkable
class HasLocalParameters(Protocol):
    """A strategy under which a rank does not hold plain parameters."""

    def local_parameters(self) -> LocalParameters:
        """What it holds, once the strategy is set up."""


class ReplicatedParameters:
    """Every rank holds everything, and trains what it holds."""

    def __init__(self, module: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        named = dict(module.named_parameters())
        self.names, self._parameters, self.optimizers = list(named), list(named.values()), optimizers

    def tensors(self) -> list[Tensor]:
        """The parameters."""
        return [parameter.detach() for parameter in self._parameters]

    def part_of(self, name: str, whole: Tensor) -> Tensor:
        """The whole parameter."""
        return whole

    def after_write(self) -> None:
        """They are the module's own."""

    def update_optimizer_copies(self) -> None:
        """They are what the optimiser steps on."""


class ShardedParameters:
    """FSDP2: every rank holds a partition of every parameter."""

    def __init__(self, sharded: ShardedModule, optimizers: Sequence[Optimizer]) -> None:
        self.names = [name for name, _ in sharded.parameters]
        self._sharded, self._like, self.optimizers = sharded, dict(sharded.parameters), optimizers

    def tensors(self) -> list[Tensor]:
        """The partitions; looked up each time, because loading may move them."""
        return [local(parameter.detach()) for parameter in self._like.values()]

    def part_of(self, name: str, whole: Tensor) -> Tensor:
        """Its partition."""
        return local(shard_like(whole, self._like[name]))

    def after_write(self) -> None:
        """What was gathered of them is out of date."""
        self._sharded.reshard()

    def update_optimizer_copies(self) -> None:
        """They are what the optimiser steps on."""


def local_parameters_of(strategy: Strategy) -> LocalParameters:
    """What a strategy, once it is set up, holds on this rank."""
    if isinstance(strategy, HasLocalParameters):
        return strategy.local_parameters()
    assert strategy.lightning_module is not None
    return ReplicatedParameters(strategy.lightning_module, strategy.optimizers)
