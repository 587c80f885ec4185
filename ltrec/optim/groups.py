"""Groups of parameters: the trunk and the plugins. Each has its own learning rate, and one may be frozen for a while.

A group is an optimiser's `param_groups` entry with a `name`; several entries (with and without weight decay) may share one name.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

TRUNK, PLUGINS = "trunk", "plugins"
GROUPS = (TRUNK, PLUGINS)
"""Names, in the order in which an optimiser lists them."""


def drop_gradients(optimizer: Optimizer, group: str) -> None:
    """Remove a group's gradients: no update, no decay, no moments, and no part in the clipped norm."""
    for entry in optimizer.param_groups:
        if entry["name"] == group:
            for parameter in entry["params"]:
                parameter.grad = None


def forget(optimizer: Optimizer, group: str) -> None:
    """Reset the optimiser's state of a group, its step count included.

    Parameters whose gradients were dropped have none. DeepSpeed cannot drop gradients: its optimisers have counted steps of
    zeros, which would distort Adam's bias correction.
    """
    for entry in optimizer.param_groups:
        if entry["name"] == group:
            for parameter in entry["params"]:
                for value in optimizer.state.get(parameter, {}).values():
                    if isinstance(value, Tensor):
                        value.zero_()


def hold_still(parameters: Iterable[nn.Parameter]) -> None:
    """Zero gradients by hooks, where they cannot be dropped later because the engine owns them (ZeRO)."""
    for parameter in parameters:
        parameter.register_hook(torch.zeros_like)  # type: ignore[no-untyped-call]
