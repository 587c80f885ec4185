"""The config of a run, in its folder: the resolved settings, sealed, with the folder where its relative paths begin."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ltrec.config.load import dump, load
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.secrets import holds_secret, secrets_of
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.core.storage.run_folder import RunFolder
from ltrec.core.storage.seal import sealed_text

PATHS_BEGIN = "# relative paths begin at "
"""A comment in config.yaml; a JSON string follows."""


def folder_of(config: RunConfig) -> RunFolder:
    """Where the run lives."""
    return RunFolder(Path(config.out) / config.name)


def read_config(run: RunFolder) -> RunConfig:
    """The config the run was made with.

    Raises:
        UserError: when the folder is no run folder.
    """
    if not run.is_run():
        raise UserError(f"{run.path} is no run folder: it has no config.yaml")
    return load([run.config], [])


def write_config(run: RunFolder, config: RunConfig) -> None:
    """Write the resolved config. Its relative paths begin in this process's working folder, which the file says."""
    text = f"{PATHS_BEGIN}{json.dumps(str(Path.cwd()))}\n{dump(config)}"
    private = holds_secret(text, secrets_of(os.environ))  # it can be run again, so it holds what it was given
    atomic_write_text(run.config, sealed_text(text), mode=0o600 if private else None)


def paths_begin(run: RunFolder) -> Path:
    """The folder where the run's relative paths begin; the working folder when the run does not say."""
    return begins_where(run) or Path.cwd()


def begins_where(run: RunFolder) -> Path | None:
    """The same; None for a config.yaml that does not say, for it was written by hand."""
    try:
        lines = run.config.read_text(encoding="utf-8").splitlines()
        said = next((line for line in lines if line.startswith(PATHS_BEGIN)), None)
        return None if said is None else Path(json.loads(said.removeprefix(PATHS_BEGIN)))
    except (OSError, ValueError, TypeError):
        return None
