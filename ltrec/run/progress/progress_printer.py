"""The progress of training on the terminal: one line per epoch, and two rows below them that are redrawn.

    epoch  3/20  loss 4.1234  NDCG@10 0.0612  head 0.0711  tail 0.0588  9.8 s  best  ...                 a line
    epoch 3/20 ━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 17%  step 1,234/7,260  at most 12:34 left                         a row
    loss 4.1234  NDCG@10 0.0612  4,321 seq/s  45.1 ms a step  1% waiting  0.5 GiB                        a row

Where rows cannot be redrawn (a file, a pipe, Slurm's log) a long epoch prints a line every minute. Only rank 0 prints.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from ltrec.evaluation.metrics import metric_name
from ltrec.run.progress.pace import Pace, callback_of, latest, step_breakdown, step_parts
from ltrec.strategy import Stratified
from ltrec.strategy.launches import advice, launches_cost
from ltrec.terminal.progress_text import duration, fit_parts, with_bar
from ltrec.terminal.screen import Screen, screen
from ltrec.training.callbacks.checkpoints import Checkpoints
from ltrec.training.callbacks.patience import Patience
from ltrec.training.callbacks.telemetry import Telemetry
from ltrec.training.datamodule import stream_of
from ltrec.training.module import BackboneModule
from ltrec.training.steps import epoch_of, last_step, step_ended, steps_per_epoch

_LINE_EVERY_S = 60.0
"""Where rows cannot be redrawn."""


class ProgressPrinter(Callback):
    """Prints epoch, loss, validation, speed and the time left.

    Args:
        monitor: the monitored metric; it is shown for all users, head and tail.
        stopping: whether a stop was requested.
    """

    priority = 90

    def __init__(self, monitor: str, stopping: Callable[[], bool] = lambda: False) -> None:
        self.metric = monitor.removeprefix("val/").partition("/")[0]
        self.title = metric_name(self.metric)
        self.stopping = stopping
        self.screen: Screen = screen()
        self._trainer: pl.Trainer | None = None
        self._activity = ""
        self._pace = Pace(1)
        self._epoch_began = self._began = self._last_line = 0.0
        self._stop_shown = self._validated = False
        self._values: dict[str, float] = {}  # of the last validation, by group

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the plan of the run."""
        self._trainer, self._pace = trainer, Pace(steps_per_epoch(trainer))
        self._began = self._epoch_began = self._last_line = time.monotonic()
        self._pace.tick()
        if trainer.is_global_zero:
            for line in beginning(trainer, pl_module):
                self.screen.say(line)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the pace; print a line where none was printed for long."""
        if step_ended(trainer, batch):
            self._pace.tick()
        if not trainer.is_global_zero:
            return
        if self.stopping() and not self._stop_shown:
            self._stop_shown = True
            self.screen.note("asked to stop: saving first; a second Ctrl-C ends at once")
        elif not self.screen.is_live and time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._print([f"epoch {epoch_of(trainer):.2f}/{trainer.max_epochs}", *self._numbers(), *self._speed(), *self._left()])

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show in the rows that validation runs."""
        self._activity = "validating"

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the results of the validation."""
        self._activity, self._validated = "", True
        values = trainer.callback_metrics  # reading them computes: not in the thread that draws
        for group in ("", "head", "tail"):
            if (value := values.get(f"val/{self.metric}{'/' * bool(group)}{group}")) is not None:
                self._values[group] = float(value)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line of the epoch."""
        if not trainer.is_global_zero:
            return
        now = time.monotonic()
        took, self._epoch_began = duration(now - self._epoch_began), now
        epoch, width = epoch_of(trainer), len(str(trainer.max_epochs))
        parts = [f"epoch {f'{epoch:.0f}' if epoch.is_integer() else f'{epoch:.2f}':>{width}}/{trainer.max_epochs}"]
        parts += [*(self._numbers("head", "tail") if self._validated else self._loss()), took, *self._best()]
        self._validated = False
        self._print([*parts, *self._speed(), *self._left()])

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print what the time was spent on."""
        if trainer.is_global_zero and (made_of := step_breakdown(trainer)):
            self.screen.say(f"trained for {duration(time.monotonic() - self._began)}; {made_of}")

    def rows(self, width: int) -> list[str]:
        """The rows at the bottom of the terminal; none before the first step."""
        trainer = self._trainer
        if trainer is None:
            return []
        step, last = trainer.global_step, max(1, last_step(trainer))
        epoch = math.ceil(epoch_of(trainer)) if self._activity else int(epoch_of(trainer)) + 1  # validation ends an epoch
        lead = f"epoch {min(epoch, trainer.max_epochs or 1)}/{trainer.max_epochs}"
        percent, left = f"{step / last:4.0%}", self._left()
        full = "  ".join([percent, self._activity or f"step {step:,}/{last:,}", *left])
        short = "  ".join([percent, *left])
        first = with_bar(lead, step / last, [full, short, percent], width, ascii_only=self.screen.ascii_only)
        second = fit_parts([*self._numbers(), *self._speed(), *step_parts(trainer)] or ["waiting for the first step"], width - 1)
        return [first, "asked to stop: saving first" if self.stopping() else second]

    def _print(self, parts: list[str]) -> None:
        self._last_line = time.monotonic()
        lines = self.screen.lines
        self.screen.say(fit_parts(parts, lines.width) if lines.is_terminal else "  ".join(parts))

    def _numbers(self, *groups: str) -> list[str]:
        """The loss of the last line of metrics.jsonl, and the last validation."""
        assert self._trainer is not None
        found = self._loss()
        shown = [group for group in ("", *groups) if group in self._values]
        return found + [f"{group or self.title} {self._values[group]:.4f}" for group in shown]

    def _loss(self) -> list[str]:
        assert self._trainer is not None
        telemetry = callback_of(self._trainer, Telemetry)
        return [] if telemetry is None or telemetry.loss is None else [f"loss {telemetry.loss:.4f}"]

    def _best(self) -> list[str]:
        assert self._trainer is not None
        saved = callback_of(self._trainer, Checkpoints)
        return ["best"] if saved is not None and saved.best_step == self._trainer.global_step else []

    def _speed(self) -> list[str]:
        assert self._trainer is not None
        line = latest(self._trainer)
        return [f"{line['throughput/sequences_per_s']:,.0f} seq/s"] if line else []

    def _left(self) -> list[str]:
        """The time left at most: early stopping or a file STOP may end the run before."""
        assert self._trainer is not None
        steps = last_step(self._trainer) - self._trainer.global_step
        seconds = self._pace.left(steps) if steps > 0 else None
        bound = "at most " if callback_of(self._trainer, Patience) is not None else ""
        return [] if seconds is None else [f"{bound}{duration(seconds, digits=0)} left"]


def beginning(trainer: pl.Trainer, module: pl.LightningModule) -> list[str]:
    """Lines about the run that begins: where it starts, its size and length, its strategy."""
    size = sum(getattr(p, "ds_numel", p.numel()) for p in module.parameters())  # ZeRO-3 has emptied the tensors
    verb = "resuming at" if trainer.global_step else "starting at"
    patience = callback_of(trainer, Patience)
    sooner = f", sooner after {patience.patience} validations without a rise" if patience is not None else ""
    lines = [
        f"{verb} step {trainer.global_step}: {trainer.num_training_batches} batches an epoch, {size:,} parameters, "
        f"{trainer.world_size} process(es), {trainer.precision}",
        f"ends with step {last_step(trainer):,}{sooner}",
    ]
    if isinstance(strategy := trainer.strategy, Stratified):
        lines.append(strategy.describe())
        if (cheaper := advice(strategy.options, strategy.mode, launches_cost(strategy))) is not None:
            lines.append(cheaper)
    if isinstance(module, BackboneModule) and module.about_rows:
        lines.append(module.about_rows)
    if not stream_of(trainer).validates:
        lines.append("no user has a validation target: nothing stops the run early, and its best checkpoint is the last")
    return lines
