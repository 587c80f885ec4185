"""A run that is over: its command, given again, says so, opens no tracker and writes nothing."""

from __future__ import annotations

from typing import Any

from ltrec.config.tree import RunConfig
from ltrec.optim.schedule import SCHEDULES
from ltrec.training.callbacks.patience import Patience


def why_finished(config: RunConfig, state: dict[str, Any], *, steps_per_epoch: int) -> str | None:
    """Why training would go no further from a checkpoint: `finished at epoch 12 (patience 10): nothing to do`; None if it would.

    Args:
        config: of the run, as it is now: more epochs or more patience let it go on.
        state: the checkpoint.
        steps_per_epoch: optimiser steps of an epoch, as training cuts it.
    """
    step, loop = state["global_step"], config.trainer
    epoch = f"{step / steps_per_epoch:.2f}".removesuffix(".00")
    waited = _waited(config, state)
    if loop.patience and waited >= loop.patience:
        reason, more = f"{waited} validations without a rise: trainer.patience={loop.patience}", "trainer.patience"
    elif step >= loop.max_epochs * steps_per_epoch:
        longer = "" if SCHEDULES[config.optim.schedule].needs_length else "trainer.max_epochs"
        reason, more = f"trainer.max_epochs={loop.max_epochs}", longer
    elif 0 < loop.max_steps <= step:
        return f"finished at step {step}, epoch {epoch} (trainer.max_steps={loop.max_steps}); nothing to do"
    else:
        return None
    way_on = f": a higher {more} goes on" if more else ""  # a rate that falls is planned over the length it has
    return f"finished at epoch {epoch} ({reason}); nothing to do{way_on}"


def _waited(config: RunConfig, state: dict[str, Any]) -> int:
    """Validations since the last rise, as of the checkpoint."""
    key = Patience(config.trainer.monitor, config.trainer.patience or 1).state_key
    return int(state.get("callbacks", {}).get(key, {}).get("wait_count", 0))
