"""The stream's cursor follows training."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from ltrec.training.datamodule import stream_of
from ltrec.training.steps import step_ended


class Cursor(Callback):
    """Moves the stream's cursor after the optimiser has stepped, so that a checkpoint never runs ahead of training."""

    priority = 20

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance once per optimiser step."""
        if step_ended(trainer, batch):
            assert batch.step == trainer.global_step - 1, f"batch of step {batch.step} trained as step {trainer.global_step - 1}"
            stream_of(trainer).loader.advance(batch.step)
