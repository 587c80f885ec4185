"""Only one process at a time writes into a run folder: its owner.

runs/<name>/.lock         locked with flock: the kernel lets go of it when the process dies, however it dies
runs/<name>/owner.json    who that is: host, process, start, Slurm job; for disks whose locks hold on one machine, or not at all

Both must be free. An owner file left behind by a dead process of this machine, or by an earlier attempt of the same Slurm job, is
taken over with a note. One of another machine is respected: nobody can tell from here whether its process is alive.
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
from ltrec.run.folder.owner import Owner, myself

_NO_LOCKS_HERE = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)
"""What a file system answers that knows no flock."""

_WRITING_SECONDS = 1.0
"""An owner file is created and then written; one that is empty for longer was never finished."""


@contextmanager
def owning(run: RunFolder, say: Callable[[str], None]) -> Iterator[None]:
    """Own a run folder, which is made when it is missing, for as long as the context lasts.

    Args:
        run: the run folder.
        say: called with a line when an owner file is taken over.

    Raises:
        UserError: another process owns it, or may own it; names process and host, and the way out.
    """
    made = _missing(run)
    descriptor, locked = _lock(run)
    try:
        me = _claim(run, locked, say)
        try:
            yield
        finally:
            _leave(run, me, made)
    finally:
        os.close(descriptor)


def _missing(run: RunFolder) -> list[Path]:
    """The folder and those above it that are not there yet, innermost first."""
    return list(itertools.takewhile(lambda path: not path.exists(), (run.path, *run.path.parents)))


def _lock(run: RunFolder) -> tuple[int, bool]:
    """The lock file, open and locked; or open only, where the disk knows no such locks."""
    while True:
        descriptor = _open(run)
        try:
            locked = _flock(descriptor, run)
            if os.path.exists(run.lock) and os.path.samestat(os.fstat(descriptor), run.lock.stat()):
                return descriptor, locked
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner left, and took the file away, between our opening and our locking it


def _open(run: RunFolder) -> int:
    while True:
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            return os.open(run.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except (FileExistsError, NotADirectoryError):
            raise UserError(f"{run.path} cannot be made: a file stands in its place, or in that of a folder above it") from None
        except FileNotFoundError:
            continue  # its owner left, and took the empty folder away


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
    """Write the owner file, which only one process can create; take over one that nobody stands behind any more."""
    me, path = myself(), run.owner
    while not _create(path, me):
        before = _read(run)
        if before is None:
            _refuse_empty(run, locked)
        elif (reason := before.gone(me, locked=locked)) is None:
            raise UserError(
                f"{run.path} is being trained by {before}; wait until it has ended, or choose another name=...; if you are sure "
                f"that it runs no more ({before.how_to_be_sure()}), remove {path} and repeat the command"
            )
        else:
            say(f"{run.path}: taking over from {before}, {reason}")
        path.unlink(missing_ok=True)
    return me


def _refuse_empty(run: RunFolder, locked: bool) -> None:
    """Its writer died between creating and writing it, which only the lock can tell from a writer on another machine."""
    if not locked and (path := run.owner).exists():
        raise UserError(f"{path} is empty: someone may train there; if nobody does, remove it and repeat the command")


def _create(path: Path, me: Owner) -> bool:
    """Whether the file was made, by us; atomic also on network disks."""
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
    """The owner on file; None when there is none, or its writing was never finished.

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


def _leave(run: RunFolder, me: Owner, made: list[Path]) -> None:
    """Remove what says that we are here: not another's owner file, where somebody removed ours. Of the folders that were made, the
    empty ones go again: a run that was refused leaves nothing."""
    with suppress(UserError):
        if _read(run) == me:
            run.owner.unlink(missing_ok=True)
    run.lock.unlink(missing_ok=True)
    with suppress(OSError):
        for path in made:
            path.rmdir()
