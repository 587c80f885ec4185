"""A module's gradients where there may be no step to take."""

from __future__ import annotations

import torch
from torch import nn


def all_finite(module: nn.Module) -> bool:
    """Whether every gradient is: the norm of all of them tells."""
    found = [p.grad for p in module.parameters() if p.grad is not None]
    return bool(torch.nn.utils.get_total_norm(found).isfinite())


def discard(module: nn.Module) -> None:
    """Leave the optimiser nothing to do: parameters without gradients, and their state, stay as they are."""
    for parameter in module.parameters():
        parameter.grad = None


def spoil(module: nn.Module) -> None:
    """Let an AMP scaler find one gradient that is no number: it skips the step and halves its scale; without any it would fail."""
    seen = next(p for p in module.parameters() if p.requires_grad)
    seen.grad = torch.full_like(seen, torch.nan)
