"""config.yaml of a run folder: the resolved settings with a digest, and the folder to which relative paths refer."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ltrec.config.load import dump, load
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.secrets import holds_secret, secrets_of
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.core.storage.remote.url import was_url
from ltrec.core.storage.run_folder import RunFolder
from ltrec.core.storage.seal import sealed_text

PATHS_BEGIN = "# relative paths begin at "
"""A comment in config.yaml; a JSON string follows."""


def folder_of(config: RunConfig) -> RunFolder:
    """The folder of a run."""
    return RunFolder(Path(config.out) / config.name)


def read_config(run: RunFolder) -> RunConfig:
    """The config of a run.

    Raises:
        UserError: the folder is not a run folder.
    """
    refuse_other_folder(run)
    return load([run.config], [])


def refuse_other_folder(run: RunFolder) -> None:
    """Check that a folder is a run's.

    Raises:
        UserError: it has no config, or is not of this machine.
    """
    if was_url(run.path):
        raise UserError(f"{run.path} is no folder of this machine; runs are read and written on a disk, so copy it to one")
    if not run.is_run():
        raise UserError(f"{run.path} is not a run folder: it has no config.yaml")


def write_config(run: RunFolder, config: RunConfig) -> None:
    """Write the resolved config, with the working folder, to which its relative paths refer."""
    text = f"{PATHS_BEGIN}{json.dumps(str(Path.cwd()))}\n{dump(config)}"
    private = holds_secret(text, secrets_of(os.environ))  # it must be possible to run it again, so secrets are not masked
    atomic_write_text(run.config, sealed_text(text), mode=0o600 if private else None)


def base_folder(run: RunFolder) -> Path:
    """The folder to which the run's relative paths refer; the working folder if config.yaml does not say."""
    return recorded_base(run) or Path.cwd()


def recorded_base(run: RunFolder) -> Path | None:
    """The same; None for a config.yaml that does not say, such as one written by hand."""
    try:
        lines = run.config.read_text(encoding="utf-8").splitlines()
        found = next((line for line in lines if line.startswith(PATHS_BEGIN)), None)
        return None if found is None else Path(json.loads(found.removeprefix(PATHS_BEGIN)))
    except (OSError, ValueError, TypeError):
        return None
