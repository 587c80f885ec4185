"""Folders that are whole or absent.

A folder cannot be renamed over another one, so a name that must always lead to a whole folder is a link, and the folder behind it
lies in one of two slots:

    last.ckpt -> last.ckpt.a        replaced in one rename once last.ckpt.b is written, whereupon last.ckpt.a is removed

Killed at any moment, the link leads to a whole folder, the old one or the new one. What is left half-written lies in the slot that
comes next, and is swept away before it is used.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ltrec.core.files import fsync_folder

_ENDINGS = (".a", ".b")


def open_slot(link: Path) -> Path:
    """An empty folder beside `link`: the slot that it does not lead to."""
    current = os.readlink(link) if link.is_symlink() else None
    slot = next(place for ending in _ENDINGS if (place := link.with_name(link.name + ending)).name != current)
    _remove(slot)
    slot.mkdir(parents=True)
    return slot


def commit_slot(link: Path, slot: Path) -> None:
    """Make `link` lead to the finished `slot`, and remove what it led to before. The files in it must have been flushed."""
    for folder in (*(p for p in slot.rglob("*") if p.is_dir()), slot):
        fsync_folder(folder)
    temporary = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)  # of a process with the same number, killed right here
    temporary.symlink_to(slot.name)
    os.replace(temporary, link)
    fsync_folder(link.parent)
    for ending in _ENDINGS:
        if (other := link.with_name(link.name + ending)) != slot:
            _remove(other)


def remove_slots(link: Path) -> None:
    """Remove a link, or the file that stands in its place, and both slots."""
    link.unlink(missing_ok=True)
    for ending in _ENDINGS:
        _remove(link.with_name(link.name + ending))


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
