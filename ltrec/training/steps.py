"""Optimiser steps and epochs of a trainer that counts micro-batches."""

from __future__ import annotations

import pytorch_lightning as pl

from ltrec.core.batch import SequenceBatch


def step_ended(trainer: pl.Trainer, batch: SequenceBatch) -> bool:
    """Whether `batch` was the last micro-batch of its optimiser step."""
    return batch.micro + 1 == trainer.accumulate_grad_batches


def steps_per_epoch(trainer: pl.Trainer) -> int:
    """Optimiser steps of an epoch, cut short if the run limits its batches."""
    return int(trainer.num_training_batches) // trainer.accumulate_grad_batches


def last_step(trainer: pl.Trainer) -> int:
    """Optimiser steps of the whole run; patience, or a request to stop, may end it sooner."""
    by_epochs = steps_per_epoch(trainer) * (trainer.max_epochs or 0)
    return min(by_epochs, trainer.max_steps) if trainer.max_steps > 0 else by_epochs


def log_interval(every_steps: int, steps: int) -> int:
    """Optimiser steps between two lines of metrics.jsonl.

    Args:
        every_steps: trainer.log_every_steps; 0 = a tenth of an epoch, but at least every 50th step.
        steps: optimiser steps of an epoch, or of the run if that is shorter.
    """
    return every_steps or min(50, max(1, steps // 10))


def epoch_of(trainer: pl.Trainer) -> float:
    """Passes over the data so far, as a fraction."""
    return round(trainer.global_step / max(1, steps_per_epoch(trainer)), 4)
