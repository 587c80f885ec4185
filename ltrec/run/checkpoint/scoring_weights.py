"""The weights of a checkpoint that score: their average if the run keeps one (`trainer.ema`), or the raw ones on request."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError, nearest
from ltrec.training.checkpoints.form import AVERAGE

RAW = "raw"
WEIGHTS = (AVERAGE, RAW)
"""Valid values of `weights`."""


def refuse_weights(requested: str | None, config: RunConfig) -> None:
    """Refuse weights that a run does not have.

    Raises:
        UserError: there is no such kind, or the run keeps no average.
    """
    if requested is not None and requested not in WEIGHTS:
        raise UserError(f"--weights {requested}: it must be {' or '.join(WEIGHTS)}{nearest(requested, WEIGHTS)}")
    if requested == AVERAGE and not config.trainer.ema:
        raise UserError(f"--weights {AVERAGE}: run {config.name!r} keeps no average of its weights (trainer.ema=0); use {RAW}")


def refuse_average_of_one(config: RunConfig, steps_per_epoch: int) -> None:
    """Refuse an average over a single step.

    Raises:
        UserError: `trainer.ema` epochs of `steps_per_epoch` steps are one step.
    """
    if config.trainer.ema >= 1 and config.trainer.ema * steps_per_epoch <= 1:
        raise UserError(
            f"trainer.ema={config.trainer.ema:g} averages over this many epochs, and an epoch has {steps_per_epoch} step here: "
            "there is nothing to average; use more epochs, or a decay per step below 1"
        )


def refuse_lost_average(checkpoint: Path, state: Mapping[str, Any], config: RunConfig) -> None:
    """Refuse a checkpoint without an average if its run keeps one.

    Raises:
        UserError: it has none.
    """
    if config.trainer.ema and AVERAGE not in state:
        raise UserError(
            f"{checkpoint} holds no average of the weights, and the run's config says trainer.ema={config.trainer.ema:g}: one of "
            "them is another run's, or damaged; restore it"
        )


def scoring_weights(state: Mapping[str, Any], requested: str | None = None) -> dict[str, Tensor]:
    """The weights that a checkpoint is scored with.

    Args:
        state: its contents.
        requested: one of `WEIGHTS`; None = the average if there is one.
    """
    averaged = requested != RAW and AVERAGE in state
    weights: dict[str, Tensor] = state[AVERAGE]["state_dict"] if averaged else state["state_dict"]
    return weights
