"""Names in a folder of checkpoints that always lead to something whole, and the one before it kept until the next is there.

    last.ckpt        the newest
    previous.ckpt    what was last.ckpt before

A checkpoint is a file, or a folder where training shards its state. A folder cannot be renamed over another one, so its name is a
link, and the folder behind it lies in a slot that no link leads to yet:

    last.ckpt -> last.ckpt.b    previous.ckpt -> last.ckpt.a        next: last.ckpt.c, whereupon last.ckpt.a is removed

Killed at any moment, last.ckpt leads to a whole checkpoint, the old one or the new one. What is left half-written lies in a slot
that no link leads to, and is swept away before it is used.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ltrec.core.run_folder import ASIDE, CHECKPOINTS, LAST, PREVIOUS
from ltrec.core.storage.atomic import fsync_folder

_ENDINGS = (".a", ".b", ".c", ".d")  # last, previous, aside, and the one that is being written


def before(checkpoint: Path) -> Path | None:
    """Where the checkpoint that is replaced is kept; None when it is not."""
    return checkpoint.with_name(PREVIOUS) if checkpoint.name == LAST else None


def can_go_on(checkpoint: Path) -> bool:
    """Whether there is anything to go on from: the checkpoint, or the one before it."""
    kept = before(checkpoint)
    return checkpoint.exists() or (kept is not None and kept.exists())


def keep_before(checkpoint: Path) -> None:
    """Let the name of the one before lead to what `checkpoint` is now, which is about to be replaced. Nothing happens to others."""
    kept = before(checkpoint)
    if kept is None or not os.path.lexists(checkpoint):
        return
    temporary = _temporary(kept)
    try:
        _same(checkpoint, temporary)
    except OSError:  # a disk without hard links: for a moment only the one before is there
        temporary = checkpoint
    os.replace(temporary, kept)


def go_back(last: Path, to: Path) -> None:
    """Let `last` lead to another checkpoint beside it, from which the run goes on.

    What it led to is put aside, where it takes nobody's place; a third one, which is not before `to`, goes.
    """
    if os.path.lexists(last):
        _remove(aside := last.with_name(ASIDE))
        os.replace(last, aside)
    temporary = _temporary(last)
    try:
        _same(to, temporary)
    except OSError:
        shutil.copy2(to, temporary)
    os.replace(temporary, last)
    if (kept := before(last)) is not None and kept != to:
        _remove(kept)
    fsync_folder(last.parent)


def _same(checkpoint: Path, name: Path) -> None:
    """Let `name` lead to what a checkpoint is: the file, or where its link leads."""
    if checkpoint.is_symlink():
        name.symlink_to(os.readlink(checkpoint))
    else:
        os.link(checkpoint, name)


def open_slot(link: Path) -> Path:
    """An empty folder beside `link`: a slot that no link leads to."""
    for path in (link, before(link)):
        if path is not None and path.is_dir() and not path.is_symlink():
            place = _free_slot(link)
            path.rename(place)  # a copy of the run in which folders stand where links stood
            path.symlink_to(place.name)
    slot = _free_slot(link)
    slot.mkdir(parents=True)
    return slot


def commit_slot(link: Path, slot: Path) -> None:
    """Make `link` lead to the finished `slot`, whose files must have been flushed, and remove what no link leads to any more."""
    for folder in (*(p for p in slot.rglob("*") if p.is_dir()), slot):
        fsync_folder(folder)
    keep_before(link)
    temporary = _temporary(link)
    temporary.symlink_to(slot.name)
    os.replace(temporary, link)
    fsync_folder(link.parent)
    taken = _led_to(link.parent)
    for other in _slots(link):
        if other.name not in taken:
            _remove(other)


def remove_slots(link: Path) -> None:
    """Remove a link, or the file that stands in its place, and all its slots."""
    for path in (link, *_slots(link)):
        _remove(path)


def _free_slot(link: Path) -> Path:
    """A place that no link leads to, swept."""
    taken = _led_to(link.parent)
    slot = next(place for place in _slots(link) if place.name not in taken)
    _remove(slot)
    return slot


def _slots(link: Path) -> list[Path]:
    return [link.with_name(link.name + ending) for ending in _ENDINGS]


def _led_to(folder: Path) -> set[str]:
    """Names that the links of a folder lead to."""
    return {os.readlink(path) for path in folder.glob(CHECKPOINTS) if path.is_symlink()} if folder.exists() else set()


def _temporary(final: Path) -> Path:
    temporary = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)  # of a process with the same number, killed right here
    return temporary


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
