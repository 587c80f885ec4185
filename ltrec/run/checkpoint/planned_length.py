"""Settings that are planned over the length of a run: a decaying learning rate, a switch after a share of it. Another length
would change them midway.

A run with half of a cosine over 10 epochs and half of one over 20 does not match its config and cannot be repeated. So a run keeps
its length. A new run that starts from the checkpoint of another one has its own plan, and a line says what changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.optim.schedule import SCHEDULES, schedule


def check_planned_length(
    checkpoint: Path, state: Mapping[str, Any], config: RunConfig, total_steps: int, *, own: bool, say: Callable[[str], None]
) -> None:
    """Refuse another length for a run with a plan; for a new run that starts from another one's checkpoint, say what changes.

    Args:
        checkpoint: that training resumes from.
        state: its contents.
        config: the resolved run.
        total_steps: optimiser steps of the whole run.
        own: whether the checkpoint belongs to this run.
        say: called with one line.

    Raises:
        UserError: something depends on the length of the run, which differs from the planned one.
    """
    planned = state["run"]["total_steps"]
    changes = _changes(config, state["global_step"], planned, total_steps) if planned != total_steps else []
    if not changes:
        return
    lengths = f"{checkpoint} is planned over {planned:,} steps, this run over {total_steps:,}"
    if not own:
        say(f"{lengths}: {'; '.join(changes)}")
        return
    raise UserError(
        f"trainer.max_epochs={config.trainer.max_epochs} changes the plan midway ({lengths}): {'; '.join(changes)}; resume with "
        "the original trainer.max_epochs, or train the other length under another name=..."
    )


def _changes(config: RunConfig, step: int, planned: int, total_steps: int) -> list[str]:
    """What another length would change at the step where training resumes."""
    optim, changes = config.optim, []
    if SCHEDULES[optim.schedule].needs_length:
        then, now = (
            schedule(optim.schedule, warmup_steps=optim.warmup_steps, total_steps=steps, final_ratio=optim.final_ratio)(step)
            for steps in (planned, total_steps)
        )
        changes.append(
            f"by optim.schedule={optim.schedule} the rate at step {step:,} goes from {then:.3g} to {now:.3g} of its peak"
        )
    if config.switch is not None and config.switch.by == "share":
        changes.append(f"by {config.trained_plugin_section}.switch.by=share the second stage begins at another step")
    return changes
