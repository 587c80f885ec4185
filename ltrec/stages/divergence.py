"""Training that has left the numbers: it ends in one line, and never reaches a checkpoint."""

from __future__ import annotations

import torch
from torch import nn

from ltrec.core.errors import diverged


def refuse_divergence(module: nn.Module, step: int) -> None:
    """Look at every weight before it is validated or saved. Ranks hold the same weights, so they decide alike.

    Raises:
        UserError: a weight is not a finite number.
    """
    if not torch.stack([p.detach().isfinite().all() for p in module.parameters()]).all():
        raise diverged("a weight is not a finite number", step)
