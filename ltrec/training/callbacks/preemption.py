"""Stop when asked, at the same step on every rank, with nothing lost.

Who asks: a file STOP in the run folder (the Slurm script writes it when time is nearly over; a person may too), SIGUSR1 (`srun
python`), SIGTERM (`scancel`, torchrun when it is told to end) or Ctrl-C. Who hears it first does not matter: every n steps all
ranks take the maximum over all wishes, over gloo, then save the same step and end. Unless the wish was to end for good, rank 0
leaves a file REQUEUE, which the Slurm script turns into `scontrol requeue`; the exit code is 0, for torchrun takes any other for
a crash.

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
from ltrec.core.run_folder import RunFolder
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.distributed.collectives import current_world
from ltrec.training import stop_signals as signals
from ltrec.training.divergence import save_checked
from ltrec.training.steps import step_ended
from ltrec.training.stop_signals import StopRequest, disable_lightning_signals


class Preemption(Callback):
    """Listens every n optimiser steps and at the start of every epoch. Put it last: what it saves must be complete.

    The last step of an epoch is never saved here but after its validation, by whoever saves epochs; then the next epoch does not
    begin. A run that is finished by then ends as if nobody had asked.

    Args:
        run: the run folder.
        stop: what signals asked of this process.
        every_steps: optimiser steps between two agreements.
    """

    priority = -50

    def __init__(self, run: RunFolder, stop: StopRequest, *, every_steps: int) -> None:
        self.run, self.stop, self.every_steps = run, stop, every_steps
        self._wish = signals.NOTHING  # of all ranks

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave signals to this callback alone: Lightning is about to set its own handlers."""
        disable_lightning_signals(trainer)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """This attempt is not the one that stopped."""
        if trainer.is_global_zero:
            self.run.requeue.unlink(missing_ok=True)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From now on there is something to save."""
        self.stop.training = True

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen, also to what was asked during validation; stop without saving, for the epoch's end was saved."""
        if self._listen():
            self._stop(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Listen when it is due; save and stop when asked, in mid-epoch."""
        if not step_ended(trainer, batch) or not self._is_due(trainer.global_step) or not self._listen():
            return
        if batch_idx + 1 >= trainer.num_training_batches or trainer.should_stop or trainer.global_step == trainer.max_steps:
            return
        save_checked(trainer, self.run.last)
        self._stop(trainer)

    def _is_due(self, step: int) -> bool:
        """A process alone need agree with nobody."""
        return step % self.every_steps == 0 or (current_world().size == 1 and self.stop.kind > signals.NOTHING)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A wish that came too late to matter must not stop whatever comes next in this folder."""
        if trainer.is_global_zero:
            self.run.stop.unlink(missing_ok=True)

    def _listen(self) -> int:
        """The strongest wish of all ranks. Every rank looks for the file: a network disk shows it to some nodes late."""
        mine = max(self.stop.kind, signals.REQUEUE if self.run.stop.exists() else signals.NOTHING)
        self._wish = max(self._wish, mine)
        if current_world().size > 1:
            wish = torch.tensor(self._wish)  # on the CPU: gloo, whatever the gradients travel over
            dist.all_reduce(wish, dist.ReduceOp.MAX)
            self._wish = int(wish)
        return self._wish

    def _stop(self, trainer: pl.Trainer) -> None:
        requeue = self._wish == signals.REQUEUE
        if trainer.is_global_zero:
            if requeue:
                atomic_write_text(self.run.requeue, json.dumps({"step": trainer.global_step}) + "\n")
            self.run.stop.unlink(missing_ok=True)
        raise Stopped(trainer.global_step, requeue=requeue, interrupted=self._wish == signals.INTERRUPT, saved=self.run.last)
