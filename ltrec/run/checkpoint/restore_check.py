"""Errors in the contents of a checkpoint that is intact as a file, reported as one line about the checkpoint.

Lightning restores states one by one without checks. Errors while it does are caught here; states that would only fail later
(optimiser states of another shape, counters that are not numbers) are checked before the first step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from ltrec.core.errors import UserError, first_line
from ltrec.run.process.system_errors import explain

_MOMENTS = ("exp_avg", "exp_avg_sq")
_OPTIONS = ("lr", "betas", "eps", "weight_decay")
_FAULTS = (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError, AssertionError, OverflowError)


class RestoreCheck(Callback):
    """Checks the restored states once, before the first step.

    Args:
        checkpoint: that is resumed; None for a new run.
    """

    priority = 100

    def __init__(self, checkpoint: Path | None) -> None:
        self.checkpoint, self.done = checkpoint, checkpoint is None
        self._counters: Mapping[str, Any] = {}  # of the trainer's loops, before anything was restored

    def setup(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """Keep the counters of a trainer that has not started, for comparison."""
        self._counters = trainer.fit_loop.state_dict()

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Raise ValueError for states with which the first steps would fail."""
        if self.done:
            return
        fault = _counter_fault(self._counters, trainer.fit_loop.state_dict(), "loops") or _optimizer_fault(trainer)
        if fault is not None:
            raise ValueError(fault)
        self.done = True


@contextmanager
def explain_restore_errors(restored: RestoreCheck) -> Iterator[None]:
    """Turn errors before the first step of a resumed run into one line about its checkpoint.

    Raises:
        UserError: naming the checkpoint and the error.
    """
    try:
        yield
    except _FAULTS as error:
        if restored.done or explain(error, []) is not None or "gloo" in str(error):
            raise
        raise UserError(
            f"{restored.checkpoint} is whole, but cannot be resumed from ({type(error).__name__}: {first_line(error)}); "
            "choose another checkpoint (resume=...), or start again under another name=..."
        ) from error


def _counter_fault(expected: Any, found: Any, place: str) -> str | None:
    """The first counter whose type or range is wrong; None if all are plausible."""
    if isinstance(expected, Mapping):
        if not isinstance(found, Mapping):
            return f"{place} is {found!r:.80}"
        faults = (_counter_fault(expected[key], found[key], f"{place}.{key}") for key in expected.keys() & found.keys())
        return next((fault for fault in faults if fault is not None), None)
    if isinstance(expected, int) and not (isinstance(found, int) and 0 <= found < 2**62):
        return f"{place} is {found!r:.80}"
    return None


def _optimizer_fault(trainer: pl.Trainer) -> str | None:
    """A message about wrong options or moments of an unsharded optimiser, or None. Sharded engines check their own."""
    for optimizer in trainer.optimizers:
        if not isinstance(optimizer, torch.optim.Adam | torch.optim.AdamW):
            continue
        for group in optimizer.param_groups:
            for key in _OPTIONS:
                values = group[key] if isinstance(group[key], list | tuple) else [group[key]]
                if not all(isinstance(value, Real) and math.isfinite(value) for value in values):
                    return f"the optimiser's {key} is {group[key]!r:.80}"
        for parameter, state in optimizer.state.items():
            for key in _MOMENTS:
                value = state.get(key)
                if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.shape != parameter.shape:
                    return f"the optimiser's {key} does not fit a parameter of shape {tuple(parameter.shape)}"
            if not (isinstance(step := state.get("step"), torch.Tensor) and step.numel() == 1 and step >= 0):
                return f"the optimiser's step is {step!r:.80}"
    return None
