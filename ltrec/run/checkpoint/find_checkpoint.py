"""Find a checkpoint of a run by its name: best, last, previous or stage1."""

from __future__ import annotations

from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder

_FALLBACKS = {"best": ("best", "stage1", "last"), "last": ("last",), "previous": ("previous",), "stage1": ("stage1",)}
"""Name -> files to try; the first that exists is taken, and named in the output. A damaged one is never replaced."""

_ABSENT = {"stage1": "the run has no first stage that was validated", "previous": "the run has saved one checkpoint so far"}


def find_checkpoint(run: RunFolder, which: str) -> Path:
    """The checkpoint `best`, `last`, `previous` or `stage1`, the best of the first stage. It is to be read, not resumed.

    `best` falls back to `stage1` until the second stage has been validated, and to `last` if nothing has.

    Raises:
        UserError: there is no such name, or the run has no checkpoint.
    """
    if which not in _FALLBACKS:
        raise UserError(f"--checkpoint {which}: it must be best, last or previous, or stage1 of a run with plugins")
    for name in _FALLBACKS[which]:
        if (found := run.checkpoint_file(name)).exists():
            return found
    if (why := _ABSENT.get(which)) and run.last.exists():
        raise UserError(f"{run.checkpoints} holds no {which}.ckpt: {why}")
    raise UserError(f"{run.checkpoints} holds no checkpoint: train the run first with 'ltrec train {run.config}'")
