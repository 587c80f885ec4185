"""Stop on request, at the same step on every rank, with nothing lost.

A request comes as a file STOP in the run folder (written by the Slurm script shortly before the time limit, or by a person), as
SIGUSR1 (`srun python`), as SIGTERM (`scancel`, or torchrun when it is ended) or as Ctrl-C. It does not matter which rank gets it:
every n steps the ranks take the maximum over all requests (over gloo), save the same step and end. Unless the request was to stop
for good, rank 0 leaves a file REQUEUE, which the Slurm script turns into `scontrol requeue`; the exit code is 0, because torchrun
takes any other for a crash.

    STOP or signal -> agreed -> checkpoints/last.ckpt -> REQUEUE -> exit 0 -> requeue -> the same command resumes
"""

from __future__ import annotations

import json
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Callback

from ltrec.core.errors import Stopped
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.core.storage.run_folder import RunFolder
from ltrec.distributed.collectives import current_world
from ltrec.training import stop_signals as signals
from ltrec.training.divergence import save_checked
from ltrec.training.steps import step_ended
from ltrec.training.stop_signals import StopRequest, disable_lightning_signals


class Preemption(Callback):
    """Looks for stop requests every n steps and at the start of every epoch. It comes last, so that what it saves is complete.

    The last step of an epoch is not saved here but after its validation, by `Checkpoints`; then the next epoch does not begin. A
    run that has finished by then ends as if there had been no request.

    Args:
        run: the run folder.
        stop: the request that signals have made of this process, if any.
        every_steps: optimiser steps between two looks.
    """

    priority = -50

    def __init__(self, run: RunFolder, stop: StopRequest, *, every_steps: int) -> None:
        self.run, self.stop, self.every_steps = run, stop, every_steps
        self._agreed = signals.NOTHING  # the strongest request of all ranks

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep Lightning from setting its own signal handlers."""
        disable_lightning_signals(trainer)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the mark that an earlier attempt left when it stopped."""
        if trainer.is_global_zero:
            self.run.requeue.unlink(missing_ok=True)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From now on there is something to save, so signals are acted on between steps."""
        self.stop.training = True

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop if that was requested, also during validation; without saving, since the end of the epoch was saved."""
        if self._listen():
            self._stop(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look when it is due; if a stop is requested in mid-epoch, save and stop."""
        if not step_ended(trainer, batch) or not self._is_due(trainer.global_step) or not self._listen():
            return
        if batch_idx + 1 >= trainer.num_training_batches or trainer.should_stop or trainer.global_step == trainer.max_steps:
            return
        save_checked(trainer, self.run.last)
        self._stop(trainer)

    def _is_due(self, step: int) -> bool:
        """Whether to look after this step; a single process need not wait for the others."""
        return step % self.every_steps == 0 or (current_world().size == 1 and self.stop.kind > signals.NOTHING)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove a STOP file that came too late, so that it does not stop the next run in this folder."""
        if trainer.is_global_zero:
            self.run.stop.unlink(missing_ok=True)

    def _listen(self) -> int:
        """The strongest request of all ranks. Every rank looks for the file: a network disk may show it to some nodes late."""
        mine = max(self.stop.kind, signals.REQUEUE if self.run.stop.exists() else signals.NOTHING)
        self._agreed = max(self._agreed, mine)
        if current_world().size > 1:
            request = torch.tensor(self._agreed)  # on the CPU: over gloo, whatever carries the gradients
            dist.all_reduce(request, dist.ReduceOp.MAX)
            self._agreed = int(request)
        return self._agreed

    def _stop(self, trainer: pl.Trainer) -> None:
        requeue = self._agreed == signals.REQUEUE
        if trainer.is_global_zero:
            if requeue:
                atomic_write_text(self.run.requeue, json.dumps({"step": trainer.global_step}) + "\n")
            self.run.stop.unlink(missing_ok=True)
        raise Stopped(trainer.global_step, requeue=requeue, interrupted=self._agreed == signals.INTERRUPT, saved=self.run.last)
