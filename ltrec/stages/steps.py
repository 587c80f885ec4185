"""Optimiser steps of a trainer that counts micro-batches."""

from __future__ import annotations

import pytorch_lightning as pl

from ltrec.core.batch import SequenceBatch


def step_ended(trainer: pl.Trainer, batch: SequenceBatch) -> bool:
    """Whether `batch` was the last micro-batch of its optimiser step."""
    return batch.micro + 1 == trainer.accumulate_grad_batches


def steps_per_epoch(trainer: pl.Trainer) -> int:
    """Optimiser steps of an epoch, as training was told to cut it."""
    return int(trainer.num_training_batches) // trainer.accumulate_grad_batches
