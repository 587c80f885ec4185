"""Open a run to evaluate it: from any working folder, on another machine, after its data have moved."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ltrec.config.load import load
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.folder.config_file import refuse_other_folder
from ltrec.run.folder.find_data import find_data, named_data

_MAY_DIFFER = ("evaluation.", "trainer.accelerator", "imports=")
"""Settings that can be changed to evaluate a run again."""


def split_runs(arguments: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Split command-line arguments into run folders and `key=value` overrides; `a=b` is a folder if it exists.

    Raises:
        UserError: no folder is given.
    """
    overrides = [argument for argument in arguments if "=" in argument and not Path(argument).exists()]
    if len(overrides) == len(arguments):
        raise UserError("which run? name its folder before the settings of evaluation")
    return [Path(argument) for argument in arguments if argument not in overrides], overrides


def reopen(run: RunFolder, overrides: Sequence[str] = (), data: str | os.PathLike[str] | None = None) -> RunConfig:
    """The config of a run for evaluation, with its data located.

    Args:
        run: its folder, wherever it is now.
        overrides: evaluation settings that override the run's own.
        data: folder or address of the data set; None = that of the run's config.

    Raises:
        UserError: the folder holds no run, an override is not an evaluation setting, or the data are missing or others.
    """
    refuse_settings(overrides)
    refuse_other_folder(run)
    config = load([run.config], overrides)
    return replace(
        config, data=replace(config.data, path=find_data(run, config) if data is None else named_data(run, os.fspath(data)))
    )


def refuse_settings(overrides: Sequence[str]) -> None:
    """Refuse overrides that would change how a run was trained.

    Raises:
        UserError: naming the override.
    """
    for override in overrides:
        if not override.startswith(_MAY_DIFFER):
            raise UserError(
                f"{override}: what a run was trained with cannot be changed afterwards; only evaluation.*, trainer.accelerator "
                "and imports can, and --data DIR says where its data are"
            )
