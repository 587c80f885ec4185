"""Checkpoints do not know of partitions: state dicts of DTensors become whole tensors, and whole tensors become partitions again.

What is written is what one process would have written, with the same names and the same numbering in the optimiser, so a run may go
on under any strategy and any number of ranks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer


def whole(tree: Any, keep: bool) -> Any:
    """`tree` with every DTensor gathered, on the CPU. Called on all ranks alike; who does not `keep` them holds one at a time."""
    if isinstance(tree, DTensor):
        gathered: Tensor = tree.full_tensor()
        return gathered.detach().cpu() if keep else None
    if isinstance(tree, dict):
        return {key: whole(value, keep) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(whole(value, keep) for value in tree)
    return tree


def shard_like(tensor: Tensor, like: Tensor) -> Tensor:
    """This rank's part of a whole tensor, as a DTensor laid out like `like`; no communication."""
    if not isinstance(like, DTensor):
        return tensor
    there = tensor.to(like.device)
    return distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None)


def shard_model_state(state: dict[str, Tensor], like: dict[str, Any]) -> dict[str, Tensor]:
    """A whole model's state, cut like the module's own state `like`. Names that it lacks are left for it to complain about."""
    return {name: shard_like(value, like[name]) if name in like else value for name, value in state.items()}


def shard_optimizer_state(state: dict[str, Any], optimizer: Optimizer) -> dict[str, Any]:
    """A whole optimiser's state, cut like the optimiser's parameters; numbers such as the step stay as they are."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    owner = dict(zip(numbers, parameters, strict=True))

    def cut(number: int, value: Any) -> Any:
        same = isinstance(value, torch.Tensor) and value.shape == owner[number].shape
        return shard_like(value, owner[number]) if same else value

    parts = {n: {key: cut(n, value) for key, value in entry.items()} for n, entry in state["state"].items()}
    return {**state, "state": parts}
