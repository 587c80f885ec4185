"""A cache of files on a disk of this node, shared by all processes of it; a file is named by the sha256 of its content.

    files/<sha256>          whole and verified when it was written; a reader holds a shared lock on it
    files/<sha256>.part     being written, by the one process that holds the lock on it; others wait for that lock, and then read
    lock                    held while space is found for a new file, and while one gets its name: a list of the folder's files that
                            is read during a rename may have neither name, and the file's bytes would not count

A file appears under its name by a rename, after its content was hashed and flushed. A killed process leaves a `.part` without a
lock, which the next one writes again, or removes. To make room the least recently used files go first, but none that anybody holds.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import sha256_file
from ltrec.core.storage.remote.file_locks import exclusive, leads_to, only_one, remove_unused, shared

_PART = ".part"
FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a disk without room."""
_KEPT_FREE = 0.05  # of the disk, where no limit is set
_LONG_WAIT = 0.2


@dataclass(frozen=True, slots=True)
class CachedFile:
    """What is to be in the cache: content of this hash and size. `place` names it in messages."""

    sha256: str
    size: int
    place: str


Blocks = Callable[[], Iterator[bytes]]
"""Gives the content of a file from its beginning, each time it is called."""


class NodeCache:
    """The cache in a folder.

    Args:
        folder: created if it is not there.
        max_bytes: most that all files take; 0 = all of the disk but a twentieth.
        patience: seconds to wait for others to release files when there is no room, and refetches of what comes damaged.

    Raises:
        UserError: the folder cannot be written.
    """

    def __init__(self, folder: Path, max_bytes: int = 0, patience: float = 60.0) -> None:
        self.folder, self._max_bytes, self._patience = folder, max_bytes, patience
        self._files, self._lock = folder / "files", folder / "lock"
        try:
            self._files.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"the cache {folder} cannot be created ({error.strerror}); choose another folder") from None
        for part in self._files.glob(f"*{_PART}"):
            remove_unused(part)

    def path(self, file: CachedFile) -> Path:
        """Where a file is, if it is there."""
        return self._files / file.sha256

    @contextmanager
    def hold(self, file: CachedFile, blocks: Blocks, *, wait: bool = True) -> Iterator[tuple[Path, bool]]:
        """A file's path, and whether this call has written it; the file stays as long as the context is open.

        Args:
            file: what is wanted.
            blocks: where to get it, if it is not there.
            wait: for others to release files, where there is no room without.

        Raises:
            UserError: the content is another one again and again, or there is no room.
        """
        descriptor, fresh = self._take(file, blocks, self._patience if wait else 0.0)
        try:
            with suppress(OSError):
                os.utime(self.path(file))  # used now
            yield self.path(file), fresh
        finally:
            os.close(descriptor)

    def remove(self, file: CachedFile) -> None:
        """Remove a file that turned out to be damaged, even if others read it: they find the same."""
        self.path(file).unlink(missing_ok=True)

    def used_bytes(self) -> int:
        """What all files take."""
        return sum(size for _, size, _ in self._entries())

    def _take(self, file: CachedFile, blocks: Blocks, patience: float) -> tuple[int, bool]:
        """A descriptor with a shared lock on the file, which is written first if it is not there."""
        final, part = self.path(file), self._files / f"{file.sha256}{_PART}"
        while True:
            if (descriptor := shared(final)) is not None:
                return descriptor, False
            writer, kept = exclusive(part), False
            try:
                if final.exists():  # another one was faster
                    part.unlink(missing_ok=True)
                    continue
                self._write(file, writer, blocks, patience)
                with only_one(self._lock):
                    os.replace(part, final)
                fcntl.flock(writer, fcntl.LOCK_SH)
                if kept := leads_to(final, writer):
                    return writer, True
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            finally:
                if not kept:  # an open descriptor would keep the lock, and others wait for it
                    os.close(writer)

    def _write(self, file: CachedFile, descriptor: int, blocks: Blocks, patience: float) -> None:
        """Fill the file and compare its hash; what comes damaged is fetched again, as often as three times."""
        for _ in range(3):
            self._reserve(file, descriptor, patience)
            digest, at = hashlib.sha256(), 0
            for block in blocks():
                digest.update(block)
                at += _write_at(descriptor, block, at)
            if at == file.size and digest.hexdigest() == file.sha256:
                os.fsync(descriptor)
                return
        raise UserError(f"{file.place} is damaged: three times its content was not that of the manifest; copy it there again")

    def _reserve(self, file: CachedFile, descriptor: int, patience: float) -> None:
        """Take a file's space on the disk, after removing what makes room for it; waits for others to release theirs.

        Raises:
            UserError: there is no room, or will be none.
        """
        until = time.monotonic() + patience
        while True:
            with only_one(self._lock):
                os.ftruncate(descriptor, 0)
                room = self._make_room(file.size)
                if room and _allocate(descriptor, file.size):
                    return
                if room and self.evict_oldest():
                    continue  # the disk has less room than the limit says
            if file.size > self._limit() or time.monotonic() > until:
                raise self._too_small(file)
            time.sleep(_LONG_WAIT)

    def _make_room(self, needed: int) -> bool:
        entries = self._entries()
        used, limit = sum(size for _, size, _ in entries), self._limit()
        for _, size, path in entries:
            if used + needed <= limit:
                break
            if not path.name.endswith(_PART) and remove_unused(path):
                used -= size
        return used + needed <= limit

    def evict_oldest(self) -> bool:
        """Remove the least recently used file that nobody holds; whether there was one."""
        return any(remove_unused(path) for _, _, path in self._entries() if not path.name.endswith(_PART))

    def _limit(self) -> int:
        if self._max_bytes:
            return self._max_bytes
        disk = shutil.disk_usage(self._files)
        return self.used_bytes() + max(0, disk.free - int(_KEPT_FREE * disk.total))

    def _entries(self) -> list[tuple[float, int, Path]]:
        """(last use, bytes, path) of all files, oldest first."""
        found = []
        with os.scandir(self._files) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    stat = entry.stat()
                    found.append((stat.st_mtime, stat.st_size, Path(entry.path)))
        return sorted(found)

    def _too_small(self, file: CachedFile) -> UserError:
        return UserError(
            f"no room for the {file.size:,} bytes of {file.place} in the cache {self.folder}: files in use take "
            f"{self.used_bytes():,} bytes of at most {self._limit():,}; raise data.cache.max_mib, or choose a larger disk by "
            "data.cache.dir"
        )


def is_intact(path: Path, file: CachedFile) -> bool:
    """Whether a cached file still has the content that its name says."""
    return path.stat().st_size == file.size and sha256_file(path) == file.sha256


def _write_at(descriptor: int, block: bytes, at: int) -> int:
    view, written = memoryview(block), 0
    while written < len(view):
        written += os.pwrite(descriptor, view[written:], at + written)
    return written


def _allocate(descriptor: int, size: int) -> bool:
    """Reserve disk space; False if the disk is full."""
    try:
        if size:
            os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno in FULL:
            return False
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
        os.ftruncate(descriptor, size)
    return True
