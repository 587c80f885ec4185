"""Training that has left the numbers: it ends in one line, and never reaches a checkpoint."""

from __future__ import annotations

import torch
from torch import nn

from ltrec.core.errors import UserError


def refuse_divergence(module: nn.Module, step: int) -> None:
    """Look at every weight before it is validated or saved. Ranks hold the same weights, so they decide alike.

    Raises:
        UserError: a weight is not a finite number.
    """
    if not torch.stack([p.detach().isfinite().all() for p in module.parameters()]).all():
        raise diverged("a weight is not a finite number", step)


def diverged(what: str, step: int) -> UserError:
    """The one line about a run that cannot be saved from itself."""
    return UserError(
        f"training diverged: {what} after step {step}; start again under another name=... with a lower optim.lr or with "
        "optim.clip_norm=1. The checkpoints on disk are from before"
    )
