"""An exponential moving average of the weights: what validation ranks with, and what a checkpoint is scored with afterwards.

    s_0 = w_0        s_{t+1} = d_t s_t + (1 - d_t) w_{t+1}        d_t = min(d, (1 + t) / (10 + t))

w_t are the weights after t optimiser steps, s_t their average (Polyak & Juditsky, SIAM J. Control Optim. 30, 1992; exponential as
in Tarvainen & Valpola, arXiv 1703.01780). d is `trainer.ema`, or 1 - 1/n for n steps. A step that was skipped because of
a non-finite gradient is not counted.

The warm-up is that of TensorFlow's `ExponentialMovingAverage(num_updates)`. While it lasts (9 n steps) the newest weights count
9 / (10 + t), which is polynomial-decay averaging (Shamir & Zhang, arXiv 1212.1824): the average covers about the last tenth of
training so far, and after ten steps the initial weights count 1e-5. Adam's correction, dividing by 1 - d^t, would forget them too
but weight all steps alike, so that the first validations, which patience counts, would judge a model of half an epoch ago.

During validation, module and average are swapped, so nothing else needs to know about averaging; a checkpoint holds both:

    state_dict     the weights, with which training continues
    average        {"updates": t, "state_dict": the same names with averaged weights, used for scoring}

Lightning's own `WeightAveraging` does not support sharding, deep-copies the module, and saves the average in place of the weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor
from torch.optim import Optimizer

from ltrec.strategy.local_parameters import LocalParameters, local_parameters_of
from ltrec.training.checkpoints.form import AVERAGE
from ltrec.training.steps import steps_per_epoch


def decay_of(ema: float, steps_per_epoch: int) -> float:
    """d: `trainer.ema` itself if below 1, else the decay for an average over that many epochs."""
    return ema if ema < 1 else 1 - 1 / (ema * steps_per_epoch)


def decay_at(updates: int, decay: float) -> float:
    """d_t after t updates: at first less than d, so that the initial weights are soon forgotten."""
    return min(decay, (1 + updates) / (10 + updates))


class WeightAverage(Callback):
    """Averages the weights after every optimiser step that was not skipped. It comes after the switch and before anything is saved.

    Args:
        ema: `trainer.ema`, above 0.

    Attributes:
        updates: t, steps averaged since the start or since the switch.
        average: s_t, this rank's part of every parameter; during validation it holds the weights.
    """

    priority = 40

    def __init__(self, ema: float) -> None:
        self.ema, self.updates = ema, 0
        self.average: list[Tensor] = []
        self._local: LocalParameters | None = None
        self._decay = 0.0
        self._stepped = False
        self._loaded: Mapping[str, Any] | None = None

    @property
    def local(self) -> LocalParameters:
        """This rank's part of the weights."""
        assert self._local is not None, "training has not begun"
        return self._local

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with the weights, or with the checkpoint's average."""
        self._local = local_parameters_of(trainer.strategy)
        self._decay = decay_of(self.ema, steps_per_epoch(trainer))
        self.restart()
        if self._loaded is not None:
            self.restore(self._loaded)
            self._loaded = None
        for optimizer in self._local.optimizers:
            optimizer.register_step_post_hook(self._note)

    def _note(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Record that a step was taken; in a skipped one no parameter has a gradient."""
        self._stepped |= any(p.grad is not None for entry in optimizer.param_groups for p in entry["params"])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average, once per optimiser step."""
        if self._stepped:
            share = 1 - decay_at(self.updates, self._decay)
            torch._foreach_lerp_(self.average, self.local.tensors(), share)
            self.updates += 1
            self._stepped = False

    # -- validation and scoring see the average ---------------------------------------------------------------------------------

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Swap the average in."""
        self._exchange()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Swap the weights back in."""
        self._exchange()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Swap the average into the module for the duration of the block. A collective."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        """Swap module and average, bit for bit, with memory for one more tensor."""
        for mine, theirs in zip(self.average, self.local.tensors(), strict=True):
            kept = theirs.clone()
            theirs.copy_(mine)
            mine.copy_(kept)
        self.local.after_write()

    def by_name(self) -> dict[str, Tensor]:
        """This rank's part of every average; none before training."""
        return dict(zip(self.local.names, self.average, strict=True)) if self.average else {}

    # -- the switch of stages ---------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Set the weights to their average: what was validated is what stage 2 begins with."""
        for mine, theirs in zip(self.average, self.local.tensors(), strict=True):
            theirs.copy_(mine)
        self.local.after_write()
        self.local.update_optimizer_copies()

    def restart(self) -> None:
        """Restart from the present weights."""
        self.average = [part.clone() for part in self.local.tensors()]
        self.updates = 0

    # -- checkpoints ------------------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the average beside the weights. A collective."""
        with self.shown():
            whole = trainer.strategy.lightning_module_state_dict()
            state = {name: value.detach().clone() for name, value in whole.items()} if trainer.is_global_zero else {}
        checkpoint[AVERAGE] = {"updates": self.updates, "state_dict": state}

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the checkpoint's average until the weights are loaded. A checkpoint without averaging has none."""
        self._loaded = checkpoint.get(AVERAGE)

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Restore the average from a checkpoint."""
        whole = saved["state_dict"]
        for name, mine in zip(self.local.names, self.average, strict=True):
            mine.copy_(self.local.part_of(name, whole[name]))
        self.updates = saved["updates"]
