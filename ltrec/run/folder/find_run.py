"""The run that a config means: its folder, and the checkpoint to resume from. Nothing is written; every rank decides alike."""

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
    """The run's folder, with the checkpoint to resume from, if any.

    Raises:
        UserError: the folder is not provably this run's, the checkpoint asked for is missing, or something would be destroyed.
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
            raise UserError(f"{run.path} holds a run already: choose another name=..., or resume=auto to go on with it")
        return run, None
    return run, _named_checkpoint(config, run, last)


def _named_checkpoint(config: RunConfig, run: RunFolder, last: Path) -> Path:
    """The checkpoint that `resume` names: where a new run begins, or to what moment of its own a run goes back."""
    asked = Path(config.resume)
    if not asked.exists():
        raise UserError(f"resume={config.resume}: no such checkpoint; use auto, never or a path such as {last}")
    if not can_go_on(last) or is_inside(asked, run):
        return asked
    if began_from(run) == str(asked.absolute()):  # it began there, has come further since, and is told the same again
        return last
    raise UserError(
        f"resume={config.resume} lies in another folder, and {run.path} has checkpoints of its own; resume=auto goes on from them, "
        "and another name=... begins a run from yours"
    )


def is_inside(checkpoint: Path, run: RunFolder) -> bool:
    """Whether a checkpoint lies in the run's folder."""
    return checkpoint.resolve().is_relative_to(run.path.resolve())


def began_from(run: RunFolder) -> str | None:
    """The checkpoint of another run that this one began from, as its provenance says."""
    try:
        found = read_provenance(run).get("resumed_from")
    except UserError:
        return None
    return found if isinstance(found, str) else None


def _refuse_loss(run: RunFolder) -> None:
    """Refuse to begin again where a best checkpoint is all that is left of hours of training.

    A run that was killed at its first validation has one as well, for it is saved just before the first last.ckpt.
    """
    if (kept := run.existing_checkpoints()) and _validations(run.metrics) != 1:
        raise UserError(
            f"{run.checkpoints} has {kept[0].name} but no last.ckpt to go on from, and beginning again would remove it; restore "
            f"last.ckpt, say resume={kept[0]}, or choose another name=..."
        )


def _validations(metrics: Path) -> int:
    try:
        return sum(b'"val/' in line for line in metrics.read_bytes().splitlines())
    except OSError:
        return 0
