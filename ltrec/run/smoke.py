"""The smoke test of `--smoke`: three steps of everything in a run folder that is removed afterwards."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

from ltrec.config.tree import RunConfig
from ltrec.evaluation.memory.config import MemoryConfig
from ltrec.run.evaluate import evaluate_run
from ltrec.run.folder.ownership import own_folder
from ltrec.run.process.detect import detect
from ltrec.run.train import train
from ltrec.terminal.screen import note, say

SMOKE_STEPS = 3


def smoke_test(config: RunConfig) -> None:
    """Three steps, a validation, a checkpoint, a resume, and the evaluation of that checkpoint; then the run is removed.

    Raises:
        UserError: the run itself would be refused.
    """
    processes, short = detect(), _shortened(config)
    run = train(short, steps_per_epoch=SMOKE_STEPS, disposable=True)  # also over what a failed attempt left
    again = replace(short, trainer=replace(short.trainer, max_epochs=2))
    train(again, steps_per_epoch=SMOKE_STEPS)
    if processes.world.size == 1:
        evaluate_run(run, "valid", "last", processes)
    if processes.world.rank == 0:
        with own_folder(run, note):
            shutil.rmtree(run.path)
        say("smoke test passed: training, validation, checkpoint, resume, evaluation")


def _shortened(config: RunConfig) -> RunConfig:
    """The config for one epoch that logs, validates and saves as soon as possible, in a folder of its own."""
    return replace(
        config,
        name=f"{config.name}-smoke",
        resume="auto",
        tracking=replace(config.tracking, wandb="off" if config.tracking.wandb == "off" else "offline"),
        trainer=replace(
            config.trainer, max_epochs=1, max_steps=-1, validate_every_epochs=1, log_every_steps=1, checkpoint_every_steps=2
        ),
        plugin=_switched_early(config.plugin),
    )


def _switched_early(plugin: Any) -> Any:
    """The plugin with its switch moved into the first steps, unless it is trained from the start."""
    if isinstance(plugin, MemoryConfig):
        return replace(plugin, trained=_switched_early(plugin.trained))
    switch = getattr(plugin, "switch", None)
    if switch is None:
        return plugin
    steps = SMOKE_STEPS if switch.by == "share" and switch.at else switch.at
    return replace(plugin, switch=replace(switch, by="step", at=min(steps, SMOKE_STEPS - 1)))
