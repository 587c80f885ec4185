"""Weights & Biases: the only file that knows it. The run id is the run's name, so that a resumed run goes on under the same id."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger

from ltrec.tracking.config import TrackingConfig


def wandb_logger(tracking: TrackingConfig, run_dir: Path, name: str, config: dict[str, Any]) -> WandbLogger | None:
    """A logger for the run folder, or None when W&B is off. Only rank 0 opens the run; files go to `run_dir`/wandb."""
    if tracking.wandb == "off":
        return None
    run_id = f"{name[:48]}-{hashlib.sha256(str(run_dir.resolve()).encode()).hexdigest()[:8]}"
    logger = WandbLogger(
        name=name,
        id=run_id,
        project=tracking.project,
        entity=tracking.entity,
        group=tracking.group,
        tags=list(tracking.tags),
        save_dir=run_dir,
        offline=tracking.wandb == "offline",
        config=config,
    )
    # Our step is the optimiser step and goes backwards on resume; W&B's own counter may not.
    logger.experiment.define_metric("*", step_metric="trainer/global_step")
    return logger
