"""Loggers besides metrics.jsonl: Weights & Biases and those named by class path, with the run's identity and config."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Callback, Checkpoint
from pytorch_lightning.loggers import Logger

from ltrec.config.keys.arguments import in_keys, speaking_keys
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.extension.class_path import find_class, make
from ltrec.core.extension.extras import install, missing, require
from ltrec.core.secrets import masked_tree, secrets_of
from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.comparison.gate_text import gate_text
from ltrec.evaluation.comparison.judgement import read_judgement
from ltrec.run.folder.config_file import read_config
from ltrec.run.folder.provenance_file import read_provenance
from ltrec.run.process.rendezvous_env import Processes
from ltrec.terminal.screen import note
from ltrec.tracking.batch_job import group_of, slurm_job
from ltrec.tracking.wandb import Tracked, send_report, wandb_logger

LOGGERS, CALLBACKS = "tracking.loggers", "trainer.callbacks"
"""Settings that name Lightning classes."""


def refuse_classes(config: RunConfig) -> None:
    """Check every class that the config names without making one, on every rank, before the run folder is written.

    Raises:
        UserError: a class is not found, is not a logger or callback, or does not accept its arguments.
    """
    for spec in config.tracking.loggers:
        find_class(spec, Logger, LOGGERS)  # type: ignore[type-abstract]
    for spec in config.trainer.callbacks:
        if issubclass(find_class(spec, Callback, CALLBACKS), Checkpoint):
            raise UserError(
                f"{CALLBACKS}: {spec.class_path} writes checkpoints, which ltrec does itself: trainer.checkpoint_every_steps and "
                "trainer.monitor say when"
            )


def named_callbacks(config: RunConfig) -> list[Callback]:
    """The callbacks of `trainer.callbacks`, on every rank.

    Raises:
        UserError: one cannot be made.
    """
    return [make(spec, Callback, CALLBACKS) for spec in config.trainer.callbacks]


def refuse_absent_tracker(config: RunConfig) -> None:
    """Check on every rank, before the run folder is written, that Weights & Biases is installed if it is used.

    Raises:
        UserError: it is not installed.
    """
    if config.tracking.wandb != "off":
        require("wandb", f"tracking.wandb={config.tracking.wandb}")


def tracking_loggers(config: RunConfig, run: RunFolder, processes: Processes) -> list[Logger]:
    """Loggers besides metrics.jsonl, on rank 0: W&B, then those of `tracking.loggers`.

    Raises:
        UserError: one of them cannot be made.
    """
    if processes.world.rank:
        return []
    wandb = None if config.tracking.wandb == "off" else wandb_logger(config.tracking, tracked(config, run), partial(_note, config))
    named: list[Logger] = []
    for spec in config.tracking.loggers:
        named.append(make(spec, Logger, LOGGERS, save_dir=str(run.loggers)))  # type: ignore[type-abstract]
        named[-1].log_hyperparams(dict(tracked(config, run).config))
    return [*([] if wandb is None else [wandb]), *named]


def _note(config: RunConfig, line: str) -> None:
    """A note of the library's, in the config's keys."""
    note(in_keys(line, config))


def track_report(run: RunFolder, report: Path) -> None:
    """Send a run's report and test metrics to W&B, if the run is tracked there and artifacts are on."""
    if not run.is_run():
        return
    config = read_config(run)
    if config.tracking.wandb == "off" or config.tracking.artifacts == "none":
        return
    if missing("wandb"):
        note(f"the report is not sent to W&B, which is not installed here ({install('wandb')})")
        return
    try:
        known = tracked(config, run)
    except UserError as error:
        note(f"{error}: the report is not sent to W&B, since the run's identity is lost")
        return
    found: dict[str, float | str] = {**test_metrics(run.eval_summary("test"), config.model.name), **verdicts(run)}
    with speaking_keys(config):
        send_report(config.tracking, known, report, found, partial(_note, config))


def tracked(config: RunConfig, run: RunFolder) -> Tracked:
    """The run as it is tracked. Its config is that of the run, plus `provenance` and, in a Slurm job, `slurm`.

    Raises:
        UserError: provenance.json, and with it the run's identity, is missing or damaged.
    """
    job = slurm_job(os.environ)
    provenance = read_provenance(run)
    shown = masked_tree(
        {
            "config": {**asdict(config), "provenance": provenance, **({"slurm": job} if job else {})},
            "group": config.tracking.group or group_of(job),
        },
        secrets_of(os.environ),
    )
    return Tracked(
        folder=run,
        name=config.name,
        run_id=f"{config.name[:48]}-{provenance['run_id']}",
        seed=config.seed,
        config=shown["config"],
        group=shown["group"],
    )


def verdicts(run: RunFolder) -> dict[str, str]:
    """The gate's verdict against every method that the run was compared with, in the words of screen and report."""
    found = [it for file in run.eval_comparisons("test") if (it := read_judgement(file)) is not None]
    return {f"gate/{it.comparison.base}": gate_text(it.gate) for it in found if it.gate is not None}


def test_metrics(path: Path, model: str) -> dict[str, float]:
    """Means of `ltrec evaluate` for the model, by key; empty if it was not evaluated, or, with a note, if the file is damaged."""
    if not path.exists():
        return {}
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))[model]
        groups = {**found["groups"], **found.get("targets", {})}
        return {
            f"test/{name}" + ("" if key == "all" else f"/{key}"): float(estimate["mean"])
            for key, group in groups.items()
            for name, estimate in group["metrics"].items()
            if estimate["mean"] is not None
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        note(f"{path} is damaged ({type(error).__name__}) and left out; 'ltrec evaluate' writes it again")
        return {}
