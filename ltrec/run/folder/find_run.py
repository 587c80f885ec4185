"""The run of a config: its folder, and the checkpoint to resume from. Nothing is written; the result is the same on every rank."""

from __future__ import annotations

from pathlib import Path

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.core.storage.versions import can_go_on
from ltrec.run.folder.config_file import folder_of
from ltrec.run.folder.provenance_file import read_provenance
from ltrec.run.folder.reuse_checks import refuse_other_run


def find_run(config: RunConfig) -> tuple[RunFolder, Path | None]:
    """The run's folder and the checkpoint to resume from, if any.

    Raises:
        UserError: the folder may belong to another run, the requested checkpoint is missing, or something would be overwritten.
    """
    run = folder_of(config)
    refuse_other_run(run, config)
    last = run.last
    if config.resume == "auto":
        if not can_go_on(last):
            _refuse_loss(run)
        return run, last if can_go_on(last) else None
    if config.resume == "never":
        if run.metrics.exists() or run.existing_checkpoints():
            raise UserError(f"{run.path} holds a run already: choose another name=..., or resume=auto to continue it")
        return run, None
    return run, _named_checkpoint(config, run, last)


def _named_checkpoint(config: RunConfig, run: RunFolder, last: Path) -> Path:
    """The checkpoint of `resume=PATH`: one of another run to start from, or an earlier one of this run to go back to."""
    requested = Path(config.resume)
    if not requested.exists():
        raise UserError(f"resume={config.resume}: no such checkpoint; use auto, never or a path such as {last}")
    if not can_go_on(last) or is_inside(requested, run):
        return requested
    if resumed_from(run) == str(requested.absolute()):  # the command is repeated: the run started there and has come further
        return last
    raise UserError(
        f"resume={config.resume} lies in another folder, and {run.path} has checkpoints of its own; resume=auto resumes from them, "
        "another name=... starts a new run from yours"
    )


def is_inside(checkpoint: Path, run: RunFolder) -> bool:
    """Whether a checkpoint lies in the run's folder."""
    return checkpoint.resolve().is_relative_to(run.path.resolve())


def resumed_from(run: RunFolder) -> str | None:
    """The checkpoint of another run that this one started from, by its provenance."""
    try:
        found = read_provenance(run).get("resumed_from")
    except UserError:
        return None
    return found if isinstance(found, str) else None


def _refuse_loss(run: RunFolder) -> None:
    """Refuse to start over where a best checkpoint is all that is left of hours of training.

    A run killed at its first validation is no such case: its best checkpoint is saved just before the first last.ckpt.
    """
    if (kept := run.existing_checkpoints()) and _validations(run.metrics) != 1:
        raise UserError(
            f"{run.checkpoints} has {kept[0].name} but no last.ckpt to resume from, and starting over would remove it; restore "
            f"last.ckpt, use resume={kept[0]}, or choose another name=..."
        )


def _validations(metrics: Path) -> int:
    try:
        return sum(b'"val/' in line for line in metrics.read_bytes().splitlines())
    except OSError:
        return 0
