"""Early stopping: training ends after so many validations without a rise of the monitored metric."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping

from ltrec.training.module import BackboneModule


class Patience(EarlyStopping):
    """Stops after so many validations without a rise.

    A stopped run that is started again does nothing unless given more patience.

    It acts at the end of validation; at the end of the epoch the checkpoint would already be written. In stage 1 of a run with
    plugins it does nothing: the run must reach stage 2, and only validations of that stage count.
    """

    priority = -10

    def __init__(self, monitor: str, patience: int) -> None:
        super().__init__(monitor, mode="max", patience=patience, strict=False, check_on_train_epoch_end=False)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the validation if there is no stage to come."""
        assert isinstance(pl_module, BackboneModule)
        if pl_module.stage_number == 2:
            super().on_validation_end(trainer, pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that had run out of patience stops before its first batch."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the count, but with the patience of this run's config rather than the earlier one's."""
        super().load_state_dict({**state_dict, "patience": self.patience})
