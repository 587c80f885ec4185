"""Files that are whole or absent: write under a temporary name, fsync, rename, fsync the folder."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ltrec.core.errors import UserError

_BLOCK = 1 << 18
"""Bytes read at a time, into the same memory: they stay in the processor's cache."""


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """Give a temporary path beside `final`; on success it is flushed and renamed over `final`, on failure removed.

    A link is followed: what it leads to is replaced, and the link stays.

    Raises:
        UserError: `final` is a folder, a device or a pipe, none of which is ever replaced.
        OSError: as the writer raised it (a full disk, say); `final` is then as it was before.
    """
    final = _writable(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name[:50]}.{os.getpid()}.tmp")  # a name may be as long as the system allows
    try:
        yield temporary
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, final)
        fsync_folder(final.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _writable(final: Path) -> Path:
    try:
        mode = os.stat(final).st_mode
    except FileNotFoundError:  # nothing there, or a link that leads to nothing yet
        return Path(os.path.realpath(final))
    if not stat.S_ISREG(mode):
        raise UserError(f"{final} is {kind_of(mode)}, which will not be replaced; name a file")
    return Path(os.path.realpath(final))


def refuse_special(path: Path, shown: str | Path | None = None) -> None:
    """Refuse to read special files: a pipe without a writer would block forever, and a device never ends.

    Raises:
        UserError: it is a folder, a pipe, a socket or a device; `shown` is its name in the message.
        OSError: it is not there, or cannot be looked at.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise UserError(f"{path if shown is None else shown} is {kind_of(mode)}, not a file")


def kind_of(mode: int) -> str:
    """The type of a path according to `st_mode`, as text."""
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFREG: "a file"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def atomic_write_text(final: Path, text: str, mode: int | None = None) -> None:
    """Write a small text file atomically, readable as the user's umask has it, or with these permissions from the beginning."""
    with atomic_path(final) as temporary:
        if mode is not None:
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT, mode))
        temporary.write_text(text, encoding="utf-8")


def fsync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_file(path: Path, on_bytes: Callable[[int], None] = lambda _: None) -> str:
    """Hex sha256 of a file; `on_bytes` hears the size of every block read (for progress bars)."""
    digest, block = hashlib.sha256(), memoryview(bytearray(_BLOCK))
    with open(path, "rb", buffering=0) as handle:
        while size := handle.readinto(block):
            digest.update(block[:size])
            on_bytes(size)
    return digest.hexdigest()


def rename_by_hash(path: Path) -> tuple[Path, str]:
    """Give a finished file the name `<stem>-<16 digits of its sha256>.parquet`; return its path and the whole digest."""
    digest = sha256_file(path)
    return path.rename(path.with_name(f"{path.stem}-{digest[:16]}.parquet")), digest
