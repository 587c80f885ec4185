"""Files that are whole or absent: write under a temporary name, fsync, rename, fsync the folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """Give a temporary path beside `final`; on success it is flushed and renamed over `final`, on failure removed.

    Raises:
        OSError: as the writer raised it (a full disk, say); `final` is then as it was before.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, final)
        fsync_folder(final.parent)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write_text(final: Path, text: str) -> None:
    """Write a small text file atomically."""
    with atomic_path(final) as temporary:
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
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
            on_bytes(len(block))
    return digest.hexdigest()


def rename_by_hash(path: Path) -> tuple[Path, str]:
    """Give a finished file the name `<stem>-<16 digits of its sha256>.parquet`; return its path and the whole digest."""
    digest = sha256_file(path)
    return path.rename(path.with_name(f"{path.stem}-{digest[:16]}.parquet")), digest


def canonical_json(value: Any) -> str:
    """The one text form of a JSON value: sorted keys, two spaces, a final newline. Digests are taken over it."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
