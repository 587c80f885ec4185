"""Optimiser steps of a trainer that counts micro-batches, and the limit that a user may set to them."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from ltrec.core.batch import SequenceBatch


def step_ended(trainer: pl.Trainer, batch: SequenceBatch) -> bool:
    """Whether `batch` was the last micro-batch of its optimiser step."""
    return batch.micro + 1 == trainer.accumulate_grad_batches


def steps_per_epoch(trainer: pl.Trainer) -> int:
    """Optimiser steps of an epoch, as training was told to cut it."""
    return int(trainer.num_training_batches) // trainer.accumulate_grad_batches


def last_step(trainer: pl.Trainer) -> int:
    """Optimiser steps of the whole run; patience, or somebody, may end it sooner."""
    by_epochs = steps_per_epoch(trainer) * (trainer.max_epochs or 0)
    return min(by_epochs, trainer.max_steps) if trainer.max_steps > 0 else by_epochs


def log_interval(asked: int, steps: int) -> int:
    """Optimiser steps between two lines of metrics.jsonl.

    Args:
        asked: trainer.log_every_steps; 0 = a tenth of an epoch, but at least every 50th step.
        steps: of an epoch, or of the run if that is shorter.
    """
    return asked or min(50, max(1, steps // 10))


class StepLimit(Callback):
    """Ends training after so many optimiser steps (-1: no such limit); give the trainer itself no limit of steps.

    A trainer that knows of one when it loads a checkpoint believes that every epoch was left in the middle: one that had ended and
    was saved is ended and counted once more, so the run comes out an epoch short. It is told when it has loaded.
    """

    def __init__(self, max_steps: int) -> None:
        self.max_steps = max_steps

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell the trainer; also a run that is over learns it here, before its first batch."""
        trainer.fit_loop.epoch_loop.max_steps = self.max_steps
