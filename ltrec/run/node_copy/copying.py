"""Copy a prepared data set to a disk of the node, once per node before training; it is read instead of `data.path`.

Every file is checked against the manifest while it is copied. The manifest is copied last, so an incomplete copy has none; its
digest identifies the data. `python -m ltrec.cli.node_copy CONFIG.yaml` makes the copy.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_path, sha256_file
from ltrec.data.manifest import MANIFEST, Manifest
from ltrec.run.node_copy.place import place_of

_BLOCK = 1 << 22


def copy_of(folder: Path, manifest: Manifest) -> Path:
    """The folder to read a data set from: its copy on this node if the job has one, else the original.

    Raises:
        UserError: the copy is missing, damaged, or of other data.
    """
    place = place_of(os.environ)
    if place is None:
        return folder
    copy = place / manifest.digest[:16]
    if Manifest.load(copy).digest != manifest.digest:
        raise UserError(f"{copy} is a copy of other data than {folder}")
    return copy


def make_copy(folder: Path, place: Path) -> tuple[Path, int]:
    """Copy a data set into the job's folder; returns the copy and the number of bytes written.

    Intact files of an earlier attempt of the job are kept.

    Raises:
        UserError: a file is missing or damaged, the disk is full, or the folder belongs to another user.
    """
    manifest = Manifest.load(folder)
    copy = place / manifest.digest[:16]
    _make_private(place)
    copy.mkdir(exist_ok=True)
    missing = [part for part in _parts(manifest) if not _is_whole(copy / part[0], *part[1:])]
    needed, free = sum(size for _, size, _ in missing), shutil.disk_usage(copy).free
    if needed > free:
        raise UserError(f"--stage: {copy} needs {needed:,} bytes and its disk has {free:,} left; train from {folder}")
    for name, size, digest in missing:
        _copy(folder / name, copy / name, size, digest)
    with atomic_path(copy / MANIFEST) as temporary:
        shutil.copyfile(folder / MANIFEST, temporary)
    return copy, needed


def _parts(manifest: Manifest) -> Iterator[tuple[str, int, str]]:
    """(path, bytes, sha256) of every file that training and evaluation read."""
    yield manifest.vocab.path, manifest.vocab.bytes, manifest.vocab.sha256
    yield from ((file.path, file.bytes, file.sha256) for file in manifest.row_files)
    yield from ((file.path, file.bytes, file.sha256) for file in manifest.column_files)
    if reach := manifest.summary.get("reach"):
        yield reach["path"], reach["bytes"], reach["sha256"]


def _is_whole(path: Path, size: int, digest: str) -> bool:
    return path.is_file() and path.stat().st_size == size and sha256_file(path) == digest


def _copy(source: Path, target: Path, size: int, digest: str) -> None:
    """Copy and hash in one pass; the target appears only if it matches the manifest."""
    found, written = hashlib.sha256(), 0
    with atomic_path(target) as temporary:
        try:
            with open(source, "rb") as reader, open(temporary, "wb") as writer:
                while block := reader.read(_BLOCK):
                    found.update(block)
                    written += writer.write(block)
        except FileNotFoundError:
            raise UserError(f"{source} is missing; prepare the data again") from None
        if (written, found.hexdigest()) != (size, digest):
            raise UserError(f"{source} is damaged: it is not what the manifest says; prepare the data again")


def _make_private(place: Path) -> None:
    """Create the job's folder with access for this user only, and refuse one that another user has created."""
    if not place.parent.is_dir():
        raise UserError(f"--stage: {os.uname().nodename} has no folder {place.parent}")
    place.mkdir(mode=0o700, exist_ok=True)
    if place.is_symlink() or place.stat().st_uid != os.geteuid():
        raise UserError(f"--stage: {place} exists already and belongs to another user")
