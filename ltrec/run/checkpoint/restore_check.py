"""Resuming from a checkpoint that is intact but inconsistent: whatever fails while it is restored is the checkpoint's fault.

Lightning restores states piece by piece and trusts each. What fails at once is caught here; what it would accept and fail over
later (optimiser states of another shape, counters that are not numbers) is checked before the first step.
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
from ltrec.run.process.system_errors import explained

_MOMENTS = ("exp_avg", "exp_avg_sq")
_OPTIONS = ("lr", "betas", "eps", "weight_decay")
_FAULTS = (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError, AssertionError, OverflowError)


class RestoreCheck(Callback):
    """Looks at what was put back, once, before the first step; knows afterwards that the checkpoint is not to blame any more.

    Args:
        checkpoint: that is resumed; None for a fresh start.
    """

    priority = 100

    def __init__(self, checkpoint: Path | None) -> None:
        self.checkpoint, self.done = checkpoint, checkpoint is None
        self._counters: Mapping[str, Any] = {}  # of the trainer's loops, before anything was put back

    def setup(self, trainer: pl.Trainer, *_: Any, **__: Any) -> None:
        """Note what the counters look like in a trainer that has not begun."""
        self._counters = trainer.fit_loop.state_dict()

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Raise UserError for what the first steps would trip over."""
        if self.done:
            return
        fault = _odd_counter(self._counters, trainer.fit_loop.state_dict(), "loops") or _odd_optimizer(trainer)
        if fault is not None:
            raise ValueError(fault)
        self.done = True


@contextmanager
def blame_checkpoint(restored: RestoreCheck) -> Iterator[None]:
    """A failure before the first step of a run that goes on from a checkpoint becomes one line about it.

    Raises:
        UserError: naming the checkpoint and what did not fit.
    """
    try:
        yield
    except _FAULTS as error:
        if restored.done or explained(error, []) is not None or "gloo" in str(error):
            raise
        raise UserError(
            f"{restored.checkpoint} is whole, but cannot be resumed from ({type(error).__name__}: {first_line(error)}); "
            "choose another checkpoint (resume=...), or start again under another name=..."
        ) from error


def _odd_counter(mine: Any, theirs: Any, place: str) -> str | None:
    """Where a state has another form than mine; None when it has mine, as far as both go."""
    if isinstance(mine, Mapping):
        if not isinstance(theirs, Mapping):
            return f"{place} is {theirs!r:.80}"
        faults = (_odd_counter(mine[key], theirs[key], f"{place}.{key}") for key in mine.keys() & theirs.keys())
        return next((fault for fault in faults if fault is not None), None)
    if isinstance(mine, int) and not (isinstance(theirs, int) and 0 <= theirs < 2**62):
        return f"{place} is {theirs!r:.80}"
    return None


def _odd_optimizer(trainer: pl.Trainer) -> str | None:
    """What is wrong with a plain optimiser's options or moments; None when nothing is. Sharded engines check their own."""
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
                    return f"the optimiser's {key} is none of a parameter of shape {tuple(parameter.shape)}"
            if not (isinstance(step := state.get("step"), torch.Tensor) and step.numel() == 1 and step >= 0):
                return f"the optimiser's step is {step!r:.80}"
    return None
