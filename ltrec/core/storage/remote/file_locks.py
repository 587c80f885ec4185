"""Locks on files (`flock`): between processes, also between threads, and released by the kernel when a process is killed.

A file may be renamed or removed between its opening and its locking. So whoever has a lock looks whether the name still leads to
the file that it holds.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ASK_AGAIN_S = 0.02


def shared(path: Path) -> int | None:
    """A descriptor with a shared lock; None if there is no such file. Waits for a process that holds it exclusively."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if leads_to(path, descriptor):
            return descriptor
        os.close(descriptor)


def exclusive(path: Path) -> int:
    """A descriptor with the exclusive lock on a file that is created if there is none; waits for others.

    It asks again and again rather than wait in the kernel: a file that was renamed meanwhile may be held for long by those who read
    it under its new name, and they may wait for this process.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        locked = _locks_while_it_leads(path, descriptor)
        if locked and leads_to(path, descriptor):
            return descriptor
        os.close(descriptor)


def _locks_while_it_leads(path: Path, descriptor: int) -> bool:
    """Lock an open file exclusively; False as soon as the name leads to another one, or to none."""
    while leads_to(path, descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_ASK_AGAIN_S)
        else:
            return True
    return False


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the exclusive lock on a file that is never removed."""
    descriptor = exclusive(path)
    try:
        yield
    finally:
        os.close(descriptor)


def remove_unused(path: Path) -> bool:
    """Remove a file unless somebody has a lock on it; whether it is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR)  # NFS gives the exclusive lock to who may write
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if leads_to(path, descriptor):
            path.unlink()
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def leads_to(path: Path, descriptor: int) -> bool:
    """Whether a name still leads to an open file."""
    try:
        there, mine = os.stat(path), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)
