"""FSDP2 as the strata need it: one group of parameters, gathered once per step, gradients summed over ranks.

    at rest      every parameter is a DTensor of which this rank holds 1/W; so are gradients and optimiser states
    in a step    the first forward pass gathers the parameters; they stay for all passes of all strata and micro-batches
    after it     `reshard` frees the copy, and the optimiser steps on the partitions

One group, not one per layer: the item table dwarfs the layers and is needed at both ends of every pass; and no collective hides
inside the model, so ranks may run different parts of it (a plugin whose stratum a rank lacks) and different numbers of validation
chunks. All-gather and reduce-scatter go through `Collectives`, which counts them.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Sequence
from itertools import chain

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from ltrec.distributed.collectives import DONE, Collectives, Pending


class ShardedModule:
    """A module under FSDP2, and the few things a step does to it.

    Every rank's parameters and buffers first become those of rank 0, as DDP does it.

    Args:
        module: the module; its class and parameters are changed in place.
        mesh: one dimension, all ranks.
        collectives: the same ranks.
        forwards: names of methods that read parameters; each may then be called as if it were `forward`.

    Attributes:
        module: the module.
        parameters: sharded parameters by name, tied ones once. While they are gathered, the module holds others in their place.
    """

    def __init__(self, module: nn.Module, mesh: DeviceMesh, collectives: Collectives, forwards: Iterable[str]) -> None:
        for tensor in chain(module.parameters(), module.buffers()):
            collectives.broadcast(tensor.detach()).wait()
        root = fully_shard(module, mesh=mesh, reshard_after_forward=False)
        self._gather, self._scatter = _Gather(collectives), _Scatter(collectives)
        root.set_custom_all_gather(self._gather)  # type: ignore[arg-type]
        root.set_custom_reduce_scatter(self._scatter)  # type: ignore[arg-type]
        root.set_force_sum_reduction_for_comms(True)  # gloo has no average, and strata are sums anyway
        root.set_gradient_divide_factor(1.0)
        # The same parameters in every reduce-scatter of every rank. Before torch 2.13 `sum_next` sees to it.
        self._adds_zeros = not hasattr(root, "set_reduce_scatter_unused_params")
        if not self._adds_zeros:
            root.set_reduce_scatter_unused_params(True)
        root.set_reshard_after_backward(False)
        setattr(module, _pass_by.__name__, types.MethodType(_pass_by, module))
        for name in (*forwards, _pass_by.__name__):
            register_fsdp_forward_method(module, name)
        self._root = root
        self.module = module
        self.parameters: list[tuple[str, nn.Parameter]] = list(module.named_parameters())

    def count_into(self, collectives: Collectives) -> None:
        """Use, and so count with, these collectives from now on."""
        self._gather.collectives = self._scatter.collectives = collectives

    def sum_next(self, sums: bool) -> None:
        """Whether the next ordinary backward pass sums gradients over ranks; until one does, each rank adds up its own, in full.

        To be called after the forward pass, while the parameters are gathered.
        """
        self._root.set_requires_gradient_sync(sums)
        if sums and self._adds_zeros:
            for parameter in self.module.parameters():
                if parameter.requires_grad and parameter.grad is None and not isinstance(parameter, DTensor):
                    parameter.grad = torch.zeros_like(parameter)

    def backward_aside(self, loss: Tensor | None, *, retain_graph: bool) -> tuple[list[Tensor | None], Pending]:
        """Back-propagate `loss`, summed over ranks, without touching any `.grad`.

        Args:
            loss: a scalar; None where this rank has nothing to add: it takes part with zeros.
            retain_graph: whether the graph is needed again.

        Returns:
            This rank's partition of every parameter's gradient, in the order of `parameters`, and what to wait for before reading
            it.
        """
        before = [p.grad for _, p in self.parameters]
        self.clear()
        loss = getattr(self.module, _pass_by.__name__)() if loss is None else loss
        assert loss is not None
        self.sum_next(True)
        self._scatter.defers = True
        loss.backward(retain_graph=retain_graph)
        self._scatter.defers = False
        pending, self._scatter.pending = self._scatter.pending, DONE
        partitions = [None if p.grad is None else local(p.grad) for _, p in self.parameters]
        for (_, parameter), gradient in zip(self.parameters, before, strict=True):
            parameter.grad = gradient
        return partitions, pending

    def clear(self) -> None:
        """Leave every parameter without a gradient."""
        for _, parameter in self.parameters:
            parameter.grad = None

    def reshard(self) -> None:
        """Free the gathered parameters."""
        self._root.reshard()


class _Gather:
    """FSDP2's all-gather, counted."""

    def __init__(self, collectives: Collectives) -> None:
        self.collectives = collectives

    def allocate(self, size: Sequence[int], *, dtype: torch.dtype, device: torch.device) -> Tensor:
        """A buffer."""
        return torch.empty(*size, dtype=dtype, device=device)

    def __call__(self, output_tensor: Tensor, input_tensor: Tensor, group: dist.ProcessGroup, async_op: bool = False) -> None:
        """Gather. The mesh's group holds the same ranks, in the same order, as the default group of `Collectives`."""
        del group, async_op
        self.collectives.all_gather(output_tensor, input_tensor).wait()


class _Scatter:
    """FSDP2's reduce-scatter, counted. It may return before the sum is there: FSDP2 then only takes views of it."""

    def __init__(self, collectives: Collectives) -> None:
        self.collectives = collectives
        self.defers = False
        self.pending: Pending = DONE

    def allocate(self, size: Sequence[int], *, dtype: torch.dtype, device: torch.device) -> Tensor:
        """A buffer."""
        return torch.empty(*size, dtype=dtype, device=device)

    def __call__(
        self, output_tensor: Tensor, input_tensor: Tensor, group: dist.ProcessGroup, op: object, async_op: bool = False
    ) -> None:
        """Sum."""
        del group, op, async_op
        self.pending = self.collectives.reduce_scatter(output_tensor, input_tensor)
        if not self.defers:
            self.pending.wait()
            self.pending = DONE


def _pass_by(module: nn.Module) -> Tensor:
    """A zero loss that depends on no parameter."""
    device = next(module.parameters()).device
    return torch.zeros((), device=device, requires_grad=True) * 1.0


def local(tensor: Tensor) -> Tensor:
    """This rank's partition, sharing memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def as_partition(partition: Tensor, like: Tensor) -> Tensor:
    """The DTensor of which every rank holds its `partition`, laid out like the parameter `like`."""
    assert isinstance(like, DTensor)
    mesh, placements = like.device_mesh, like.placements
    return DTensor.from_local(partition, mesh, placements, run_check=False, shape=like.shape, stride=like.stride())
