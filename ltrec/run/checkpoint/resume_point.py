"""All checks before training resumes from a checkpoint. Nothing is written; the result is the same on every rank."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from ltrec.config.tree import RunConfig
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.checkpoint.compatibility import refuse_incompatible, refuse_partitions
from ltrec.run.checkpoint.last_or_previous import LoadedCheckpoint, read_resume_point
from ltrec.run.checkpoint.planned_length import check_planned_length
from ltrec.run.checkpoint.run_record import refuse_other_settings
from ltrec.run.checkpoint.scoring_weights import refuse_lost_average
from ltrec.tracking.jsonl import what_is_wrong


def load_resume_point(
    run: RunFolder,
    requested: Path,
    config: RunConfig,
    module: nn.Module,
    *,
    manifest_digest: str,
    total_steps: int | None,
    say: Callable[[str], None],
) -> LoadedCheckpoint:
    """The checkpoint to resume from, with its contents: the requested one, or previous.ckpt if the run's last.ckpt is damaged.

    Args:
        run: the run's folder.
        requested: a checkpoint of this run, or of another one to start from.
        config: the resolved run.
        module: the model.
        manifest_digest: of the data set.
        total_steps: optimiser steps of the whole run; None for a disposable run, whose length is not checked.
        say: called with a line about each fault that does not prevent resuming.

    Raises:
        UserError: the checkpoint is damaged, or belongs to another program, data set, model, run or plan.
    """
    path, state = read_resume_point(run.checkpoints, requested, say)
    own = path.parent == run.checkpoints
    refuse_incompatible(path, state, manifest_digest, module)
    refuse_partitions(path, state, config.registered_strategy)
    if own:
        refuse_other_settings(path, state, config)
        refuse_lost_average(path, state, config)
    if total_steps is not None:
        check_planned_length(path, state, config, total_steps, own=own, say=say)
    if own and (wrong := what_is_wrong(run.metrics, state["metrics_bytes"], state["metrics_digest"])):
        say(f"{run.metrics} is damaged: {wrong}; training continues, but a report will refuse the curves")
    return path, state
