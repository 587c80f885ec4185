"""`ltrec train --profile N`: the operators of N optimiser steps, as a trace for Perfetto."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.profiler import ProfilerActivity

WARM_UP = 5
"""Steps before the first one recorded: caches are cold and buffers not yet allocated."""


class Profile(Callback):
    """Records a few steps of rank 0 and writes one trace file; training is slower while they are recorded.

    Args:
        path: the trace to write, .json or .json.gz.
        steps: optimiser steps to record.
        on_note: is called with one line: where the trace is, or why there is none.
    """

    priority = -40

    def __init__(self, path: Path, steps: int, on_note: Callable[[str], None]) -> None:
        assert steps > 0
        self.path, self.steps, self.on_note = path, steps, on_note
        self._first: int | None = None
        self._profiler: torch.profiler.profile | None = None

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """Start recording with the first micro-batch of a step."""
        if not trainer.is_global_zero:
            return
        if self._first is None:
            self._first = trainer.global_step + WARM_UP
        if trainer.global_step == self._first and batch.micro == 0:
            self._profiler = torch.profiler.profile(activities=_activities(), acc_events=True)
            self._profiler.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write after the last step."""
        if self._profiler is not None and self._first is not None and trainer.global_step == self._first + self.steps:
            self._write(self.steps)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what was recorded of a run that ended earlier."""
        if self._profiler is not None and self._first is not None:
            self._write(trainer.global_step - self._first)
        elif self._first is not None and trainer.global_step <= self._first:
            self.on_note(f"--profile: training ended within the first {WARM_UP} steps, which are not recorded; there is no trace")

    def _write(self, steps: int) -> None:
        assert self._profiler is not None
        self._profiler.stop()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._profiler.export_chrome_trace(str(self.path))
        self._profiler = None
        self.on_note(f"profile of {steps} step(s): {self.path}; open it in https://ui.perfetto.dev or chrome://tracing")


def _activities() -> list[ProfilerActivity]:
    """Activities that can be recorded on this machine."""
    return [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
