"""The output folder: who may write to it, what is removed from it, and how a finished data set is published in it.

    OUT/.preparing/            everything unfinished; a killed run leaves it behind, and the next one removes it
    OUT/manifest.json          replaced last; without it there is no data set

Only files with names that prepare itself gives are ever removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.progress import Progress
from ltrec.core.storage.atomic import fsync_folder
from ltrec.data.manifest import MANIFEST, Manifest
from ltrec.data.schema import OWN_FILES, WORK
from ltrec.data.verify.files import check_files

_OWN = (MANIFEST, f".{MANIFEST}.*.tmp", "vocab", "items", "columns", "reach", "_rejects", "stratum=*")


@contextmanager
def workspace(out: Path) -> Iterator[Path]:
    """An empty work folder inside `out`, which is locked against other processes. The work folder is always removed at the end.

    Raises:
        UserError: `out` is not a folder, holds files of something else, or is being prepared by another process.
    """
    created = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"cannot create the folder {out}: {error.strerror}") from error
    try:
        _claim(out, lock)
        work = out / WORK
        if work.exists() or (out / MANIFEST).exists():
            sweep(out)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(exist_ok=True)  # tasks of a killed Spark driver may still write into it, under other names
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
    finally:
        os.close(lock)
        for folder in created:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _claim(out: Path, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"another ltrec prepare is writing {out}; wait for it, or choose another --out") from None
    interrupted = (out / WORK).exists()
    foreign = [p.name for p in out.iterdir() if not p.name.startswith(".") and not any(p.match(own) for own in _OWN)]
    if foreign and not interrupted and not (out / MANIFEST).exists():
        raise UserError(f"{out} already holds other files ({foreign[0]}); choose an empty folder for --out")


def publish(work: Path, out: Path, manifest: Manifest, kept: Collection[str] = ()) -> None:
    """Replace the data set in `out` by the finished files in `work`; files of these names are in `out` already, and stay.

    The new files are moved next to the old ones (their names differ); replacing the manifest is the atomic step; then the old files
    are removed. A reader of `out`, at any moment and also after a crash, finds either the old data set or the new one, complete.
    Everything that needs space is written before.
    """
    manifest.save(work)
    folders, done = {out}, False
    try:
        for name in sorted(manifest.files().keys() - set(kept)):
            target = out / name
            target.parent.mkdir(exist_ok=True)
            (work / name).replace(target)
            folders.add(target.parent)
        for folder in sorted(folders):
            fsync_folder(folder)
        (work / MANIFEST).replace(out / MANIFEST)
        done = True
        fsync_folder(out)
    finally:
        sweep(out, manifest if done else None)


def sweep(out: Path, manifest: Manifest | None = None) -> None:
    """Remove files of prepare in `out` that its manifest does not name; all of them if there is no manifest.

    What cannot be removed stays until the next time; readers follow the manifest, so it does no harm.

    Args:
        out: the folder.
        manifest: its manifest, if it was just written.
    """
    try:
        found = manifest or existing(out)
    except UserError:
        return  # with a damaged manifest it is unknown which files belong to it
    named = set(found.files()) if found is not None else set()
    with suppress(OSError):
        for path in (path for own in OWN_FILES for path in out.glob(own)):
            if path.relative_to(out).as_posix() not in named:
                path.unlink()
        for folder in (folder for own in _OWN for folder in out.glob(own) if folder.is_dir()):
            if not any(folder.iterdir()):
                folder.rmdir()


def existing(out: Path) -> Manifest | None:
    """The manifest of the data set in `out`, if there is one.

    Raises:
        UserError: it is damaged.
    """
    return Manifest.load(out) if (out / MANIFEST).exists() else None


def is_whole(out: Path, manifest: Manifest, on_progress: Progress) -> bool:
    """Whether every file of the manifest is in `out`, with the recorded size and hash."""
    try:
        check_files(out, manifest, on_progress)
    except UserError:
        return False
    return True
