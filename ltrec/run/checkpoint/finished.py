"""Whether a run is finished. Its command then says so, opens no tracker and writes nothing."""

from __future__ import annotations

from typing import Any

from ltrec.config.tree import RunConfig
from ltrec.optim.schedule import SCHEDULES
from ltrec.training.callbacks.patience import Patience


def why_finished(config: RunConfig, state: dict[str, Any], *, steps_per_epoch: int) -> str | None:
    """Why there is nothing left to train after a checkpoint: `finished at epoch 12 (...); nothing to do`; None if there is.

    Args:
        config: of the run as it is now; more epochs or more patience continue it.
        state: contents of the checkpoint.
        steps_per_epoch: optimiser steps of an epoch, which may be limited.
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
    way_on = f": a higher {more} continues it" if more else ""  # a decaying rate is planned over the length of the run
    return f"finished at epoch {epoch} ({reason}); nothing to do{way_on}"


def _waited(config: RunConfig, state: dict[str, Any]) -> int:
    """Validations since the last rise, at the time of the checkpoint."""
    key = Patience(config.trainer.monitor, config.trainer.patience or 1).state_key
    return int(state.get("callbacks", {}).get(key, {}).get("wait_count", 0))
