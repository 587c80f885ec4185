"""Groups of parameters: the trunk and the plugins. They have learning rates of their own, and one may have to stand still.

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
    """Leave the optimiser nothing to do for a group: no update, no decay, no moment, and no part in the norm that is clipped."""
    for entry in optimizer.param_groups:
        if entry["name"] == group:
            for parameter in entry["params"]:
                parameter.grad = None


def forget(optimizer: Optimizer, group: str) -> None:
    """Let the optimiser's state of a group begin anew, its count of steps included.

    Parameters whose gradients were dropped have none. DeepSpeed knows no dropped gradients: its optimisers have counted steps of
    zeros, which would weaken the correction of Adam's first moments.
    """
    for entry in optimizer.param_groups:
        if entry["name"] == group:
            for parameter in entry["params"]:
                for value in optimizer.state.get(parameter, {}).values():
                    if isinstance(value, Tensor):
                        value.zero_()


def hold_still(parameters: Iterable[nn.Parameter]) -> None:
    """Turn gradients into zeros as they appear, where nobody can drop them later because the stack keeps them to itself (ZeRO)."""
    for parameter in parameters:
        parameter.register_hook(torch.zeros_like)  # type: ignore[no-untyped-call]
