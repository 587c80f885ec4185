"""The run's limit of optimiser steps."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback


class StepLimit(Callback):
    """Ends training after so many optimiser steps (-1: no limit). Do not give the trainer itself a `max_steps`.

    A trainer that has a limit when it loads a checkpoint assumes that every epoch was left in the middle: an epoch that had ended
    and was saved is ended, and counted, once more, so the run comes out an epoch short. So the limit is set after loading.
    """

    priority = 80

    def __init__(self, max_steps: int) -> None:
        self.max_steps = max_steps

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the limit; a run that has already reached it learns so here, before its first batch."""
        trainer.fit_loop.epoch_loop.max_steps = self.max_steps
