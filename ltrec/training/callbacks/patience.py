"""When training stops by itself: after so many validations without a rise."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from ltrec.training.module import BackboneModule


class Patience(EarlyStopping):
    """Stops after so many validations without a rise. A stopped run that is started again does nothing, unless given more patience.

    Judged at the end of validation: at the end of the epoch it would act after the checkpoint was written. While plugins sleep
    nothing is judged: the run must reach its second stage, and is measured against that stage alone.
    """

    priority = -10

    def __init__(self, monitor: str, patience: int) -> None:
        super().__init__(monitor, mode="max", patience=patience, strict=False, check_on_train_epoch_end=False)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge the last stage."""
        assert isinstance(pl_module, BackboneModule)
        if pl_module.stage_number == 2:
            super().on_validation_end(trainer, pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop again, before the first batch."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting, up to the patience of this run's config and not of the one before."""
        super().load_state_dict({**state_dict, "patience": self.patience})
