"""Options of tracking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ltrec.core.bounds import check_fields
from ltrec.core.extension.class_path import ClassPath


@dataclass(frozen=True, slots=True)
class TrackingConfig:
    """Where metrics go besides the run folder's metrics.jsonl (which is always written)."""

    wandb: Literal["off", "offline", "online"] = "off"
    """Weights & Biases: off, offline (files only, sync later) or online."""
    project: str = "ltrec"
    """W&B project."""
    entity: str | None = None
    """W&B team or user; None = the account's default."""
    group: str | None = None
    """W&B group, to gather the seeds of one experiment; None = the Slurm job array, where the run is part of one."""
    tags: tuple[str, ...] = ()
    """W&B tags."""
    artifacts: Literal["none", "report", "all"] = "report"
    """What W&B gets besides numbers: none, report (what `ltrec report` writes) or all (checkpoints too, aliases best and last)."""

    loggers: tuple[ClassPath, ...] = ()
    """Lightning loggers besides, each a class_path and its init_args: CSVLogger and TensorBoardLogger of pytorch_lightning.loggers,
    one of your own. They get the same metrics as W&B; their save_dir is loggers/ in the run folder unless it is given."""

    def __post_init__(self) -> None:
        check_fields(self)
