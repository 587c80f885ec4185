"""The ledger of damaged row groups, for loggers and the report.

    quarantine/row_groups       damaged so far
    quarantine/users            their users, and quarantine/users/<z>, of each stratum
    quarantine/replaced_rows    rows of training batches in which others took their places

Only in a run with stream.on_damage=quarantine, and only once there is damage. A collective of a few bytes per line.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from ltrec.data.stream.quarantine.ledger import Ledger, totals, write_ledger
from ltrec.distributed.collectives import all_gather_parts
from ltrec.training.callbacks.telemetry import log
from ltrec.training.datamodule import stream_of
from ltrec.training.steps import last_step, log_interval, step_ended, steps_per_epoch


class QuarantineLedger(Callback):
    """Writes the ledger to a file and its totals to the loggers, every n steps and after every validation.

    Args:
        path: of the file.
        every_steps: n; 0 = as `log_interval` has it.
    """

    priority = 5

    def __init__(self, path: Path, every_steps: int) -> None:
        self._path, self._configured, self._every_steps = path, every_steps, every_steps
        self._written: Ledger = ()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Decide how often to write; the file of a run that went back is that of its checkpoint again."""
        self._every_steps = log_interval(self._configured, min(steps_per_epoch(trainer), last_step(trainer)))
        if not self._save(trainer) and trainer.is_global_zero:
            self._path.unlink(missing_ok=True)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write when it is due."""
        if step_ended(trainer, batch) and trainer.global_step % self._every_steps == 0:
            self._log(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what validation found."""
        if not trainer.sanity_checking:
            self._log(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the last steps'."""
        self._save(trainer)

    def _log(self, trainer: pl.Trainer) -> None:
        if ledger := self._save(trainer):
            log(trainer, totals(ledger))

    def _save(self, trainer: pl.Trainer) -> Ledger:
        """The ledger of all ranks, which rank 0 writes if it has changed."""
        ledger = stream_of(trainer).loader.ledger(all_gather_parts)
        if ledger != self._written and trainer.is_global_zero:
            write_ledger(self._path, ledger)
        self._written = ledger
        return ledger
