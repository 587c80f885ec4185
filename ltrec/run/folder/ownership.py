"""Exclusive ownership of a run folder by one process.

runs/<name>/.lock         locked with flock, which the kernel releases when the process dies
runs/<name>/owner.json    host, process, start, Slurm job; for file systems whose locks hold on one machine, or not at all

Both must be free. An owner file of a dead process of this machine, or of an earlier attempt of the same Slurm job, is taken over
with a note. One of another machine is respected, since it cannot be checked from here whether its process is alive.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.folder.owner import Owner, this_process

_NO_LOCKS_HERE = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)
"""Errors of file systems without flock."""

_WRITING_SECONDS = 1.0
"""An owner file is created first and written then; if it stays empty for longer, its writer has died."""


@contextmanager
def own_folder(run: RunFolder, say: Callable[[str], None]) -> Iterator[None]:
    """Own a run folder, which is created if missing, while the context lasts.

    Args:
        run: the run folder.
        say: called with a line when an owner file is taken over.

    Raises:
        UserError: another process owns it, or may own it; names process and host, and what to do.
    """
    created = _missing_folders(run)
    descriptor, locked = _lock(run)
    try:
        me = _claim(run, locked, say)
        try:
            yield
        finally:
            _release(run, me, created)
    finally:
        os.close(descriptor)


def _missing_folders(run: RunFolder) -> list[Path]:
    """The folder and its parents that do not exist yet, innermost first."""
    return list(itertools.takewhile(lambda path: not path.exists(), (run.path, *run.path.parents)))


def _lock(run: RunFolder) -> tuple[int, bool]:
    """(descriptor of the lock file, whether it is locked); not locked where the file system has no locks."""
    while True:
        descriptor = _open(run)
        try:
            locked = _flock(descriptor, run)
            if os.path.exists(run.lock) and os.path.samestat(os.fstat(descriptor), run.lock.stat()):
                return descriptor, locked
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner removed the file between our open and our lock


def _open(run: RunFolder) -> int:
    while True:
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            return os.open(run.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except (FileExistsError, NotADirectoryError):
            raise UserError(f"{run.path} cannot be created: it or a folder above it is a file") from None
        except FileNotFoundError:
            continue  # its owner removed the empty folder


def _flock(descriptor: int, run: RunFolder) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = _read(run) or "another process"
        raise UserError(f"{run.path} is being trained by {owner}; wait until it has ended, or choose another name=...") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS_HERE:
            raise
        return False
    return True


def _claim(run: RunFolder, locked: bool, say: Callable[[str], None]) -> Owner:
    """Write the owner file, which only one process can create; take over one whose process is dead."""
    me, path = this_process(), run.owner
    while not _create(path, me):
        before = _read(run)
        if before is None:
            _refuse_empty(run, locked)
        elif (reason := before.why_gone(me, locked=locked)) is None:
            raise UserError(
                f"{run.path} is being trained by {before}; wait until it has ended, or choose another name=...; if you are sure "
                f"that it runs no more ({before.check_command()}), remove {path} and repeat the command"
            )
        else:
            say(f"{run.path}: taking over from {before}, {reason}")
        path.unlink(missing_ok=True)
    return me


def _refuse_empty(run: RunFolder, locked: bool) -> None:
    """Refuse an empty owner file without a lock: its writer may be alive on another machine."""
    if not locked and (path := run.owner).exists():
        raise UserError(f"{path} is empty: someone may train there; if nobody does, remove it and repeat the command")


def _create(path: Path, me: Owner) -> bool:
    """Whether this process created the file; atomic also on network file systems."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    with open(descriptor, "w", encoding="utf-8") as handle:
        handle.write(json.dumps(me.to_json()) + "\n")
        handle.flush()
        os.fsync(descriptor)
    return True


def _read(run: RunFolder) -> Owner | None:
    """The owner on file; None when there is none, or it was never written completely.

    Raises:
        UserError: the file is not what `ltrec train` writes.
    """
    path, deadline = run.owner, time.monotonic() + _WRITING_SECONDS
    try:
        while not (text := path.read_text(encoding="utf-8")).endswith("\n"):
            if time.monotonic() > deadline:
                return None
            time.sleep(0.05)
        return Owner.from_json(json.loads(text))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        raise UserError(
            f"{path} is not what 'ltrec train' writes: choose another name=..., or remove it if nobody trains there"
        ) from None


def _release(run: RunFolder, me: Owner, created: list[Path]) -> None:
    """Remove the lock and our own owner file (not one that replaced it), and created folders that are empty: a refused run leaves
    nothing behind."""
    with suppress(UserError):
        if _read(run) == me:
            run.owner.unlink(missing_ok=True)
    run.lock.unlink(missing_ok=True)
    with suppress(OSError):
        for path in created:
            path.rmdir()
