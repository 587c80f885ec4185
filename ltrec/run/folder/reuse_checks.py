"""Whether a run may use a folder: only if it is new, or certainly belongs to this run.

missing, or an empty folder                             new
files of a job script and an owner, no config.yaml      new
config.yaml with this run's settings                    this run, to resume or to start over
anything else                                           refused: links, files, other runs, damaged configs, unknown files
"""

from __future__ import annotations

import os

from ltrec.config.identity import differing
from ltrec.config.tree import DIGEST, RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.folder.config_file import read_config
from ltrec.run.folder.provenance_file import data_digest

_OTHER_PLACE = "choose another name=... or out=..."


def refuse_other_run(run: RunFolder, config: RunConfig) -> None:
    """Refuse a folder that may not belong to this run. Nothing is written.

    Raises:
        UserError: naming what the folder is or holds.
    """
    _refuse_links(run)
    if not os.path.lexists(run.path):
        return
    if not run.path.is_dir():
        raise UserError(f"{run.path} is a file, not a run folder; {_OTHER_PLACE}")
    if not os.path.lexists(run.config):
        _refuse_contents(run)
        return
    if changed := differing(config, _config_of(run)):
        shown = ", ".join(f"{k}={theirs!r} there, {mine!r} here" for k, (mine, theirs) in list(changed.items())[:3])
        raise UserError(
            f"{run.path} holds a run with another config ({shown}); choose another name=... ({DIGEST} in it gives every config "
            "a folder of its own), repeat its config, or remove the folder"
        )


def refuse_unless_disposable(run: RunFolder) -> None:
    """Refuse a folder in which a smoke test must not start: one that is not empty and was not left by a smoke test.

    Raises:
        UserError: naming what it holds.
    """
    _refuse_links(run)
    if not os.path.lexists(run.path) or run.disposable.exists():
        return
    if not run.path.is_dir():
        raise UserError(f"{run.path} is a file; --smoke would train there: {_OTHER_PLACE}")
    if os.path.lexists(run.config):
        raise UserError(f"{run.path} holds a run; --smoke would train there, and remove it: {_OTHER_PLACE}")
    _refuse_contents(run)


def refuse_other_data_in(run: RunFolder, manifest_digest: str) -> None:
    """Refuse to start over on other data than an earlier attempt in the folder that left no checkpoint.

    Raises:
        UserError: the digests differ.
    """
    theirs = data_digest(run)
    if theirs not in (None, manifest_digest):
        raise UserError(
            f"{run.path} holds a run on another data set (digest {str(theirs)[:12]}, here {manifest_digest[:12]}); choose another "
            "name=..., its data, or remove the folder"
        )


def _refuse_links(run: RunFolder) -> None:
    """Refuse links: the run would be written to a folder of another name."""
    for path in (run.path, run.config, run.provenance, run.metrics, run.checkpoints):
        if path.is_symlink():
            raise UserError(f"{path} is a link to {os.readlink(path)}; name the folder itself, or {_OTHER_PLACE}")


def _refuse_contents(run: RunFolder) -> None:
    """Refuse files that a run without config.yaml cannot have left; a killed one may leave empty folders and temporary files."""
    if unexpected := run.unexpected_files():
        raise UserError(
            f"{run.path} holds {unexpected[0].name} and no config.yaml that says whose it is: it is not this run's folder; "
            f"{_OTHER_PLACE}"
        )


def _config_of(run: RunFolder) -> RunConfig:
    try:
        if run.config.stat().st_size == 0:
            raise UserError("it is empty")
        return read_config(run)
    except (UserError, OSError) as error:
        raise UserError(
            f"{run.config} cannot be read, so nobody can tell whose run {run.path} holds ({error}); restore it, or {_OTHER_PLACE}"
        ) from None
