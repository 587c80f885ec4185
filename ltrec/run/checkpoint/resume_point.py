"""All checks before training resumes from a checkpoint. Nothing is written; every rank comes to the same answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from ltrec.config.tree import RunConfig
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.checkpoint.compatibility import refuse_foreign, refuse_partitions
from ltrec.run.checkpoint.last_or_previous import Found, read_start
from ltrec.run.checkpoint.planned_length import check_planned_length
from ltrec.run.checkpoint.run_record import refuse_other_settings
from ltrec.run.checkpoint.scoring_weights import refuse_lost_average
from ltrec.tracking.jsonl import what_is_wrong


def find_start(
    run: RunFolder,
    asked: Path,
    config: RunConfig,
    stage: nn.Module,
    *,
    manifest_digest: str,
    total_steps: int | None,
    say: Callable[[str], None],
) -> Found:
    """The checkpoint to resume from, with its contents: the one asked for, or, for a damaged last one of the run, its predecessor.

    Args:
        run: the run's folder.
        asked: a checkpoint of this run, or of another one from which it begins.
        config: the resolved run.
        stage: the model at hand.
        manifest_digest: of the data set at hand.
        total_steps: optimiser steps of the whole run; None for a run that is thrown away, whose length is nobody's plan.
        say: called with a line about each fault that does not keep training from resuming.

    Raises:
        UserError: the checkpoint is damaged, or of another program, data set, model, run or plan.
    """
    path, state = read_start(run.checkpoints, asked, say)
    own = path.parent == run.checkpoints
    refuse_foreign(path, state, manifest_digest, stage)
    refuse_partitions(path, state, config.registered_strategy)
    if own:
        refuse_other_settings(path, state, config)
        refuse_lost_average(path, state, config)
    if total_steps is not None:
        check_planned_length(path, state, config, total_steps, own=own, say=say)
    if own and (wrong := what_is_wrong(run.metrics, state["metrics_bytes"], state["metrics_digest"])):
        say(f"{run.metrics} is damaged: {wrong}; training goes on, and a report will refuse the curves")
    return path, state
