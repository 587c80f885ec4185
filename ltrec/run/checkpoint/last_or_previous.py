"""Read the checkpoint that a run resumes from: its last one, or, with a note, its previous one if the last is damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import BEST, LAST, PREVIOUS, STAGE1
from ltrec.strategy.deepspeed.damage import files_of, refuse_damage
from ltrec.training.checkpoints.form import refuse_other_form
from ltrec.training.checkpoints.io import read_checkpoint

LoadedCheckpoint = tuple[Path, dict[str, Any]]
"""A checkpoint and its contents."""


def read_resume_point(checkpoints: Path, requested: Path, say: Callable[[str], None]) -> LoadedCheckpoint:
    """Read the checkpoint to resume from. The result only depends on files, so it is the same on every rank.

    Args:
        checkpoints: folder of the run's checkpoints.
        requested: the requested checkpoint. Only the run's own last.ckpt may be replaced by previous.ckpt.
        say: called with a line that says why previous.ckpt is taken.

    Returns:
        Its path, in `checkpoints` if it is the run's own, and its contents.

    Raises:
        UserError: it is damaged or not a training checkpoint, and so is previous.ckpt, if any.
    """
    if requested.parent.resolve() == checkpoints.resolve():
        requested = checkpoints / requested.name
    last = checkpoints / LAST
    try:
        return requested, read_whole(requested)
    except UserError as error:
        if requested != last:
            raise
        why, kept = _reason(error, last), checkpoints / PREVIOUS
        if not kept.exists():
            raise UserError(f"{last} {why}; {_way_out(last)}") from error
    try:
        state = read_whole(kept)
    except UserError as error:
        raise UserError(
            f"{last} {why}, and so is the one before it: {kept.name} {_reason(error, kept)}; {_way_out(last)}"
        ) from error
    say(f"{last} {why}: resuming from the one before it, {kept.name}, step {state['global_step']}")
    return kept, state


def read_whole(path: Path) -> dict[str, Any]:
    """Read a training checkpoint and check all of it: archive, form, and the partitions of DeepSpeed, if any.

    Raises:
        UserError: it is damaged, incomplete or something else.
    """
    state = read_checkpoint(path)
    refuse_other_form(path, state)
    if (zero := state.get("zero")) is not None:
        for file in files_of(path, zero):
            refuse_damage(file)
    return state


def _reason(error: UserError, checkpoint: Path) -> str:
    """The fault, without the name of the file and advice."""
    text = str(error).partition("; ")[0]
    prefix = f"{checkpoint} "
    return text.removeprefix(prefix) if text.startswith(prefix) else f"is damaged ({text.removeprefix(f'{checkpoint}/')})"


def _way_out(checkpoint: Path) -> str:
    best = [path for name in (BEST, STAGE1) if (path := checkpoint.with_name(name)).exists()]
    back = f"go back to the best with resume={best[0]}, " if best else ""
    return f"restore one of them, {back}or start over under another name=..."
