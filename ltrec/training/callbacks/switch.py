"""The switch from stage 1, the trunk alone, to stage 2, with plugins: when it comes, and what each stage must not change.

    clock      plugins wake before the first step s with
    epoch      s >= at * steps an epoch        } functions of the step: a resumed run needs no saved state
    step       s >= at                         }
    share      s >= at * steps of the run      }
    plateau    `at` validations without a rise of the monitored metric have passed; the count is in the checkpoint

After a plateau the trunk is `at` validations past its best, so stage 2 begins with the weights and the optimiser state of the best.
The stream is not turned back, so no batch is seen twice. The other clocks begin stage 2 with whatever the weights are.

Plugins wake at the beginning of a step, never at the end of the one before, so the last validation and the last checkpoint of
stage 1 are of the trunk alone, and a run resumed from that checkpoint wakes its plugins itself.

Where weights are averaged (`trainer.ema`), the average is what was validated, so stage 2 begins with it, as a second run would
(`init_from`): the weights are set to their average, the plugins wake, and averaging starts again from there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DeepSpeedStrategy
from torch.optim import Optimizer

from ltrec.core.errors import UserError
from ltrec.models.plugins.switch_config import SwitchConfig
from ltrec.optim.groups import PLUGINS, TRUNK, drop_gradients, hold_still
from ltrec.training.callbacks.weight_average import WeightAverage
from ltrec.training.checkpoints.form import AVERAGE
from ltrec.training.datamodule import stream_of
from ltrec.training.module import BackboneModule
from ltrec.training.steps import steps_per_epoch


class Switch(Callback):
    """Wakes the plugins once, on every rank before the same step, and drops the gradients of what the stage must not change.

    It comes early: dropped gradients must not be measured, and its count after a validation must be in that checkpoint.

    Args:
        config: when, and the trunk's rate afterwards.
        max_steps: the run's limit of optimiser steps; -1 = its epochs alone.
        monitor: the metric that `plateau` watches, higher is better.
        best_of_first: the checkpoint of the best validation of stage 1, which `Checkpoints` writes.
        average: of the weights, where there is one.
        say: is called with one line about what will happen, and one when it does.
    """

    priority = 50

    def __init__(
        self,
        config: SwitchConfig,
        *,
        max_steps: int = -1,
        monitor: str,
        best_of_first: Path,
        average: WeightAverage | None = None,
        say: Callable[[str], None],
    ) -> None:
        self.config, self.max_steps, self.monitor, self.best_of_first, self.say = config, max_steps, monitor, best_of_first, say
        self.average = average
        self.best: float | None = None
        self.waited = 0  # validations since the best

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say when the switch will come.

        Raises:
            UserError: it waits for a plateau, but there are no validations.
        """
        stage = _stage(pl_module)
        if stage.stage_number == 2:
            self._freeze_behind(trainer, stage)
            self.say(f"stage 2: {self._state_of(stage)}")
            return
        if self.config.by == "plateau" and not stream_of(trainer).validates:
            raise UserError(
                "`by`=plateau waits for validations, and no user of this data set has a validation target; use `by`=epoch"
            )
        self.say(f"stage 1: the trunk alone, until {self._until(trainer)}")

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """Wake the plugins when it is time."""
        stage = _stage(pl_module)
        if stage.stage_number == 1 and batch.micro == 0 and self._is_due(trainer):
            if self.config.by == "plateau":
                self._go_back(trainer)
            self._wake(stage, batch.step)
            self._freeze_behind(trainer, stage)
            self.say(f"stage 2 from step {trainer.global_step}: {self._state_of(stage)}")

    def _wake(self, stage: BackboneModule, step: int) -> None:
        """Wake the plugins on what was validated: the average of the weights, if there is one, which then starts again."""
        if self.average is not None:
            self.average.settle()
        stage.wake(step)
        if self.average is not None:
            self.average.restart()

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer) -> None:
        """Drop the gradients of plugins that have not woken and of a frozen trunk, before anything measures or clips them."""
        if _stage(pl_module).stage_number == 1:
            drop_gradients(optimizer, PLUGINS)
        elif not self.config.trunk_rate:
            drop_gradients(optimizer, TRUNK)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count validations without a rise during stage 1."""
        if self.config.by != "plateau" or trainer.sanity_checking or _stage(pl_module).stage_number == 2:
            return
        value = trainer.callback_metrics[self.monitor]
        rose = self.best is None or float(value) > self.best
        self.best, self.waited = (float(value), 0) if rose else (self.best, self.waited + 1)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say so if stage 2 has not begun."""
        if _stage(pl_module).stage_number == 1:
            self.say("training ends in stage 1: the plugins have not woken")

    def state_dict(self) -> dict[str, Any]:
        """State of `plateau`."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the count."""
        self.best, self.waited = state_dict["best"], state_dict["waited"]

    def _go_back(self, trainer: pl.Trainer) -> None:
        """Restore weights and optimiser states of the best validation of stage 1, however they are sharded."""
        strategy = trainer.strategy
        best = strategy.load_checkpoint(self.best_of_first, weights_only=True)
        strategy.load_model_state_dict(best)
        strategy.load_optimizer_state_dict(best)
        if self.average is not None:
            self.average.restore(best[AVERAGE])
        self.say(f"the trunk goes back to its best, step {best['global_step']}: {self.monitor} {self.best:.4f}")

    def _is_due(self, trainer: pl.Trainer) -> bool:
        if self.config.by == "plateau":
            return self.waited >= self.config.at
        return trainer.global_step >= self._first_step(trainer)

    def _first_step(self, trainer: pl.Trainer) -> int:
        """The first step of stage 2, for the triggers that know it in advance."""
        each = steps_per_epoch(trainer)
        total = (trainer.max_epochs or 0) * each
        total = total if self.max_steps < 0 else min(total, self.max_steps)
        return self.config.first_step(steps_per_epoch=each, total_steps=total)

    def _until(self, trainer: pl.Trainer) -> str:
        if self.config.by == "plateau":
            return f"{self.monitor} has not risen for {self.config.at:g} validation(s)"
        return f"step {self._first_step(trainer)}"

    def _state_of(self, stage: BackboneModule) -> str:
        owners = {stage.plugin_of(name) for name, _ in stage.named_parameters()} - {None}
        rate, own = self.config.trunk_rate, self.config.plugin_rate
        trunk = "frozen" if not rate else "at its full rate" if rate == 1 else f"at {rate:g} of its rate"
        return f"{len(owners) or 'shared'} plugins awake{'' if own == 1 else f' at {own:g} of the rate'}, trunk {trunk}"

    def _freeze_behind(self, trainer: pl.Trainer, stage: BackboneModule) -> None:
        """Freeze the trunk itself under DeepSpeed, which keeps gradients internal and would count the trunk's when clipping."""
        if not self.config.trunk_rate and isinstance(trainer.strategy, DeepSpeedStrategy):
            hold_still(p for name, p in stage.named_parameters() if stage.group_of(name) == TRUNK and p.requires_grad)


def _stage(module: pl.LightningModule) -> BackboneModule:
    assert isinstance(module, BackboneModule)
    return module
