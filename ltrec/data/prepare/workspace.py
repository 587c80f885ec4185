"""The output folder: who may write into it, what is removed, and how a finished data set gets in.

    OUT/.preparing/            everything under way; a killed run leaves it behind, the next one starts clean
    OUT/manifest.json          written last; without it there is no data set

Only names that prepare itself makes are ever removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.files import fsync_folder
from ltrec.data.manifest import MANIFEST, Manifest

WORK = ".preparing"
_OWN = (MANIFEST, f".{MANIFEST}.*.tmp", "vocab", "_rejects", "stratum=*")


@contextmanager
def workspace(out: Path) -> Iterator[Path]:
    """An empty work folder inside `out`, which nobody else may prepare into meanwhile. Removed at the end, whatever happens.

    Raises:
        UserError: `out` is no folder, belongs to somebody else's files, or is being prepared by another process.
    """
    created = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"cannot make the folder {out}: {error.strerror}") from error
    try:
        _claim(out, lock)
        work = out / WORK
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
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


def publish(work: Path, out: Path, manifest: Manifest) -> None:
    """Replace what `out` held by the finished files in `work`; the manifest goes in last.

    All that needs space is written before the old data set goes: what is left are renames.
    """
    manifest.save(work)
    finished = sorted(path for own in _OWN for path in work.glob(own) if path.name != MANIFEST)
    for folder in finished:
        fsync_folder(folder)
    (out / MANIFEST).unlink(missing_ok=True)
    fsync_folder(out)
    _clear(out)
    try:
        for folder in finished:
            folder.rename(out / folder.name)
        fsync_folder(out)
        (work / MANIFEST).rename(out / MANIFEST)
        fsync_folder(out)
    except OSError:
        _clear(out)
        raise


def _clear(out: Path) -> None:
    for own in _OWN:
        for old in out.glob(own):
            shutil.rmtree(old) if old.is_dir() else old.unlink()


def existing(out: Path) -> Manifest | None:
    """The complete data set in `out`, if there is one.

    Raises:
        UserError: its manifest is damaged, or a file is missing or has another size.
    """
    if not (out / MANIFEST).exists():
        return None
    manifest = Manifest.load(out)
    sizes = {manifest.vocab.path: manifest.vocab.bytes, **{shard.path: shard.bytes for shard in manifest.shards}}
    for name, size in sizes.items():
        path = out / name
        if not path.is_file() or path.stat().st_size != size:
            raise UserError(f"{path} is missing or has another size; prepare again with --overwrite")
    return manifest
