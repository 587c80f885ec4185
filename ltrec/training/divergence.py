"""Training that diverged: it ends with one line, and its weights never reach a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import nn

from ltrec.core.errors import diverged
from ltrec.distributed.collectives import all_reduce_sum
from ltrec.distributed.fsdp2.sharded_module import local


def refuse_divergence(module: nn.Module, step: int) -> None:
    """Check that every weight is finite before it is validated or saved. A collective: all ranks decide alike.

    Raises:
        UserError: a weight is not a finite number.
    """
    finite = torch.stack([local(p.detach()).isfinite().all() for p in module.parameters()]).all()
    if all_reduce_sum((~finite).long().cpu()):
        raise diverged("a weight is not a finite number", step)


def save_checked(trainer: pl.Trainer, path: Path) -> None:
    """Write a checkpoint if all weights are finite. A collective.

    Raises:
        UserError: a weight is not a finite number; nothing is written.
    """
    refuse_divergence(trainer.lightning_module, trainer.global_step)
    trainer.save_checkpoint(path, weights_only=False)
