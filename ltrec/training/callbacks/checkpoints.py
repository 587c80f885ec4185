"""Which checkpoints a run keeps, and what each of them records about the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from ltrec.core.storage.run_folder import checkpoint_file_name
from ltrec.tracking.jsonl import JsonlLogger
from ltrec.training.divergence import refuse_divergence, save_checked
from ltrec.training.module import BackboneModule
from ltrec.training.steps import epoch_of, step_ended


class Checkpoints(Callback):
    """Keeps checkpoints/last.ckpt (every n steps and every epoch) and checkpoints/best.ckpt (highest monitored metric).

    The last step of an epoch is saved only after its validation: a checkpoint between the two would skip the validation on resume.

    In a run of two stages best.ckpt is the best of stage 2, even where the trunk alone did better: a user who configures plugins
    gets to see and judge them, as in a second run that begins from a checkpoint. The best of stage 1 is kept beside it as
    stage1.ckpt.

    Args:
        folder: checkpoints/.
        metrics: metrics.jsonl, flushed before every checkpoint, which records its length.
        monitor: the metric to choose the best by; higher is better.
        every_steps: optimiser steps between two saves of `last`; 0 = every epoch only.
        record: what every checkpoint is to record about its run.
    """

    priority = -20

    def __init__(self, folder: Path, metrics: JsonlLogger, *, monitor: str, every_steps: int, record: Mapping[str, Any]) -> None:
        self.folder, self.metrics, self.monitor, self.every_steps, self.record = folder, metrics, monitor, every_steps, record
        self.best: dict[str, float] = {}  # by name of the checkpoint
        self.best_step = self.last_step = -1  # of the newest best and the newest last in this process's life
        self.validated: dict[str, tuple[int, float]] = {}  # step and value of the last validation, by the same name

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save `last` in mid-epoch when it is due."""
        last_of_epoch = batch_idx + 1 >= trainer.num_training_batches
        due = self.every_steps and trainer.global_step % self.every_steps == 0
        if due and step_ended(trainer, batch) and not last_of_epoch:
            self._save(trainer, "last")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse to validate non-finite weights."""
        refuse_divergence(pl_module, trainer.global_step)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the stage's best when the monitored metric has risen."""
        value = trainer.callback_metrics.get(self.monitor)
        if trainer.sanity_checking or value is None:
            return
        assert isinstance(pl_module, BackboneModule)
        name = {1: "stage1", 2: "best"}[pl_module.stage_number]
        self.validated[name] = (trainer.global_step, float(value))
        if float(value) > self.best.get(name, -math.inf):
            self.best[name], self.best_step = float(value), trainer.global_step
            self._save(trainer, name)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save `last` after the epoch's validation."""
        self._save(trainer, "last")

    def _save(self, trainer: pl.Trainer, name: str) -> None:
        save_checked(trainer, self.folder / checkpoint_file_name(name))
        self.last_step = trainer.global_step if name == "last" else self.last_step

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Record the length of metrics.jsonl, once it is all on the disk, and which run the checkpoint belongs to."""
        self.metrics.flush()
        checkpoint["metrics_bytes"], checkpoint["metrics_digest"] = self.metrics.size(), self.metrics.digest()
        now = {"epochs": epoch_of(trainer), "validated": dict(self.validated), "stopped": bool(trainer.should_stop)}
        checkpoint["run"] = {**self.record, **now}

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Cut metrics.jsonl back to the checkpoint."""
        self.metrics.truncate(checkpoint["metrics_bytes"])

    def state_dict(self) -> dict[str, Any]:
        """The best values so far, and the last."""
        return {"best": dict(self.best), "validated": dict(self.validated)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best values so far, which later ones are compared with."""
        self.best, self.validated = dict(state_dict["best"]), dict(state_dict["validated"])
