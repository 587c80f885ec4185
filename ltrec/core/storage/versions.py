"""Checkpoint names that always lead to something whole; the checkpoint before is kept until the next one is complete.

    last.ckpt        the newest
    previous.ckpt    what was last.ckpt before

A checkpoint is a file, or a folder where training partitions its state. A folder cannot be renamed over another one, so its name
is a link, and the next folder is written as a version that no link leads to yet:

    last.ckpt -> last.ckpt.b    previous.ckpt -> last.ckpt.a        next: last.ckpt.c, then last.ckpt.a is removed

If the process is killed at any moment, last.ckpt leads to a whole checkpoint, the old one or the new one. A half-written version
has no link leading to it, and is removed before its name is used again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ltrec.core.storage.atomic import fsync_folder
from ltrec.core.storage.run_folder import ASIDE, CHECKPOINTS, LAST, PREVIOUS

_ENDINGS = (".a", ".b", ".c", ".d")  # last, previous, aside, and the one that is being written


def before(checkpoint: Path) -> Path | None:
    """Path that keeps a replaced checkpoint; None = it is removed."""
    return checkpoint.with_name(PREVIOUS) if checkpoint.name == LAST else None


def can_go_on(checkpoint: Path) -> bool:
    """Whether there is anything to resume from: the checkpoint, or the one before it."""
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
    """Let `last` lead to another checkpoint beside it, from which the run resumes.

    What it led to is renamed to `aside.ckpt`; a third one, which is not before `to`, is removed.
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


def open_version(link: Path) -> Path:
    """An empty folder beside `link`: a version that no link leads to."""
    for path in (link, before(link)):
        if path is not None and path.is_dir() and not path.is_symlink():
            place = _free_version(link)
            path.rename(place)  # a copy of the run in which folders stand where links stood
            path.symlink_to(place.name)
    version = _free_version(link)
    version.mkdir(parents=True)
    return version


def commit_version(link: Path, version: Path) -> None:
    """Make `link` lead to the finished `version`, whose files must have been flushed, and remove what no link leads to any more."""
    for folder in (*(p for p in version.rglob("*") if p.is_dir()), version):
        fsync_folder(folder)
    keep_before(link)
    temporary = _temporary(link)
    temporary.symlink_to(version.name)
    os.replace(temporary, link)
    fsync_folder(link.parent)
    taken = _led_to(link.parent)
    for other in _versions(link):
        if other.name not in taken:
            _remove(other)


def remove_versions(link: Path) -> None:
    """Remove a link, or the file that stands in its place, and all its versions."""
    for path in (link, *_versions(link)):
        _remove(path)


def _free_version(link: Path) -> Path:
    """A version that no link leads to, emptied."""
    taken = _led_to(link.parent)
    version = next(place for place in _versions(link) if place.name not in taken)
    _remove(version)
    return version


def _versions(link: Path) -> list[Path]:
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
