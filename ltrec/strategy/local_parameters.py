"""The parameters as this rank holds them: whole if they are replicated, 1/W of each if they are sharded.

For code that averages weights or temporarily swaps others in.
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
        """Names of the parameters, as in the module's state dict."""

    @property
    def optimizers(self) -> Sequence[Optimizer]:
        """Torch's optimisers that step on this rank, without wrappers."""

    def tensors(self) -> list[Tensor]:
        """The parts, float32, in the same order; they share their memory with the module."""

    def part_of(self, name: str, whole: Tensor) -> Tensor:
        """This rank's part of a whole parameter."""

    def after_write(self) -> None:
        """Make the module see parts that were written. Every rank calls this."""

    def update_optimizer_copies(self) -> None:
        """Copy written parts into the copies that the optimiser steps on. Every rank calls this, after `after_write`."""


@runtime_checkable
class HasLocalParameters(Protocol):
    """A strategy under which a rank does not hold plain parameters."""

    def local_parameters(self) -> LocalParameters:
        """This rank's parameters, once the strategy is set up."""


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
        """Nothing to do: the parts are the module's parameters."""

    def update_optimizer_copies(self) -> None:
        """Nothing to do: the optimiser steps on the parts themselves."""


class ShardedParameters:
    """FSDP2: every rank holds a partition of every parameter."""

    def __init__(self, sharded: ShardedModule, optimizers: Sequence[Optimizer]) -> None:
        self.names = [name for name, _ in sharded.parameters]
        self._sharded, self._like, self.optimizers = sharded, dict(sharded.parameters), optimizers

    def tensors(self) -> list[Tensor]:
        """The partitions; looked up each time, because loading may move them."""
        return [local(parameter.detach()) for parameter in self._like.values()]

    def part_of(self, name: str, whole: Tensor) -> Tensor:
        """This rank's partition."""
        return local(shard_like(whole, self._like[name]))

    def after_write(self) -> None:
        """Drop gathered parameters, which are out of date."""
        self._sharded.reshard()

    def update_optimizer_copies(self) -> None:
        """Nothing to do: the optimiser steps on the parts themselves."""


def local_parameters_of(strategy: Strategy) -> LocalParameters:
    """The parameters of a strategy on this rank, once it is set up."""
    if isinstance(strategy, HasLocalParameters):
        return strategy.local_parameters()
    assert strategy.lightning_module is not None
    return ReplicatedParameters(strategy.lightning_module, strategy.optimizers)
