"""A module's gradients where there may be no step to take, and its buffers where a pass trains nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


def norm(module: nn.Module) -> Tensor:
    """The length of the whole gradient; finite if all of it is."""
    found = torch.nn.utils.get_total_norm([p.grad for p in module.parameters() if p.grad is not None])
    return found.full_tensor() if isinstance(found, DTensor) else found


def discard(module: nn.Module) -> None:
    """Leave the optimiser nothing to do: parameters without gradients, and their state, stay as they are."""
    for parameter in module.parameters():
        parameter.grad = None


def spoil(module: nn.Module) -> None:
    """Give an AMP scaler one NaN gradient to find: it then skips the step and halves its scale. With none at all it would fail."""
    seen = next(p for p in module.parameters() if p.requires_grad)
    seen.grad = torch.full_like(seen, torch.nan)


@contextmanager
def buffers_kept(module: nn.Module) -> Iterator[None]:
    """Give every buffer its value back afterwards: a probe must not move running statistics.

    (Version counters do not tell which buffers changed: batch norm's kernels skip them.)
    """
    before = [(buffer, buffer.clone()) for buffer in module.buffers()]
    yield
    for buffer, value in before:
        buffer.copy_(value)
