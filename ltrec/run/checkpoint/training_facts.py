"""The step of a checkpoint, and how far its run has been trained: facts that are stored in an evaluation table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import LAST, STAGE1
from ltrec.evaluation.training_facts import TrainingFacts
from ltrec.training.checkpoints.form import refuse_other_form
from ltrec.training.checkpoints.io import look_into


def training_facts(checkpoint: Path, state: Mapping[str, Any], config: RunConfig) -> TrainingFacts:
    """The training facts of a checkpoint.

    Args:
        checkpoint: its path, beside the run's other checkpoints.
        state: its contents.
        config: of the run.
    """
    last, step = _last(checkpoint), state["global_step"]
    stage = _stage(checkpoint, state)
    own = state["run"]["validated"].get(stage)
    latest = None if last is None else last["run"]["validated"].get(stage)
    return TrainingFacts(
        step=step,
        epochs=state["run"]["epochs"],
        monitor=config.trainer.monitor,
        value=own[1] if own is not None and own[0] == step else None,
        steps_trained=None if last is None else last["global_step"],
        epochs_trained=None if last is None else last["run"]["epochs"],
        last_validated=None if latest is None else latest[0],
        ended="" if last is None else _ended(last),
        budget={
            "trainer.max_epochs": config.trainer.max_epochs,
            "trainer.max_steps": config.trainer.max_steps,
            "trainer.patience": config.trainer.patience,
            "steps": state["run"]["total_steps"] if last is None else last["run"]["total_steps"],
            "weights of another run to start from": "yes" if config.init_from else "no",
        },
    )


def _last(checkpoint: Path) -> dict[str, Any] | None:
    """Contents of the run's last checkpoint; None when it cannot be read."""
    last = checkpoint.with_name(LAST)
    try:
        state = look_into(last)
        refuse_other_form(last, state)
    except UserError:
        return None
    return state


def _stage(checkpoint: Path, state: Mapping[str, Any]) -> str:
    """The key of the validations of the checkpoint's stage."""
    if checkpoint.name == STAGE1:
        return "stage1"
    return "best" if "best" in state["run"]["validated"] else "stage1"


def _ended(last: Mapping[str, Any]) -> str:
    if last["global_step"] >= last["run"]["total_steps"]:
        return "length"
    return "patience" if last["run"]["stopped"] else ""
