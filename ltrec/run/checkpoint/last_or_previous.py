"""The checkpoint that a run resumes from: its last, or, with a note, the one before it where the last is damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import BEST, LAST, PREVIOUS, STAGE1
from ltrec.strategy.deepspeed.damage import files_of, refuse_damage
from ltrec.training.checkpoints.form import refuse_other_form
from ltrec.training.checkpoints.io import read_checkpoint

Found = tuple[Path, dict[str, Any]]
"""A checkpoint, and what it holds."""


def read_start(checkpoints: Path, asked: Path, say: Callable[[str], None]) -> Found:
    """Read the checkpoint to resume from. Every rank comes to the same result, for it depends on files alone.

    Args:
        checkpoints: the run's folder of them.
        asked: the checkpoint asked for. For the run's own last.ckpt, and for it alone, the one before it will do as well.
        say: called with a line when the one before is taken, and why.

    Returns:
        Its path, in `checkpoints` where it is the run's own.

    Raises:
        UserError: it is damaged or no checkpoint of training, and so is the one before it, if any.
    """
    if asked.parent.resolve() == checkpoints.resolve():
        asked = checkpoints / asked.name
    last = checkpoints / LAST
    try:
        return asked, read_whole(asked)
    except UserError as error:
        if asked != last:
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
    say(f"{last} {why}: going on from the one before it, {kept.name}, step {state['global_step']}")
    return kept, state


def read_whole(path: Path) -> dict[str, Any]:
    """A checkpoint of training, all of it checked: archive, form, and the partitions beside it, if any.

    Raises:
        UserError: it is damaged, torn or something else.
    """
    state = read_checkpoint(path)
    refuse_other_form(path, state)
    if (zero := state.get("zero")) is not None:
        for file in files_of(path, zero):
            refuse_damage(file)
    return state


def _reason(error: UserError, checkpoint: Path) -> str:
    """What is wrong, without the name and the way out."""
    text = str(error).partition("; ")[0]
    prefix = f"{checkpoint} "
    return text.removeprefix(prefix) if text.startswith(prefix) else f"is damaged ({text.removeprefix(f'{checkpoint}/')})"


def _way_out(checkpoint: Path) -> str:
    best = [path for name in (BEST, STAGE1) if (path := checkpoint.with_name(name)).exists()]
    back = f"go back to the best with resume={best[0]}, " if best else ""
    return f"restore one of them, {back}or begin again under another name=..."
