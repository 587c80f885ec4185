"""A training run that is watched: its folder is copied after chosen steps, as SIGKILL at that moment would have left it.

One undisturbed run so gives many killed ones, and none of them needs the steps before the kill to be trained again.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

import ltrec.run.train as training
from ltrec.config.tree import RunConfig
from tests.support.extra_callbacks import extra


class Watch(Callback):
    """Put it last: a copy is made when the step's other callbacks have acted. Optimiser steps of one micro-batch only."""

    def __init__(self, run: Path, copies: Mapping[int, Path]) -> None:
        self.run, self.copies = run, copies
        self.steps: list[int] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Note the step; copy the folder when it is time."""
        self.steps.append(trainer.global_step)
        if trainer.global_step in self.copies and trainer.is_global_zero:
            # Who owns the run stays behind: the process lives on, and one that was killed would be dead.
            shutil.copytree(self.run, self.copies[trainer.global_step], ignore=shutil.ignore_patterns("owner.json"))


def train_watched(config: RunConfig, copies: Mapping[int, Path] | None = None) -> list[int]:
    """Train to the end.

    Args:
        config: of the run; resumed when its folder holds a checkpoint.
        copies: number of steps done -> folder, not there yet, to copy the run's folder to at that moment.

    Returns:
        The steps that were trained here, by the number of steps done after each.
    """
    watch = Watch(Path(config.out) / config.name, copies or {})
    with extra(watch):
        training.train(config)
    return watch.steps
