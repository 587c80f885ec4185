"""Folders that are whole or absent: write beside the final place, flush, rename."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import fsync_folder


@dataclass(frozen=True, slots=True)
class FolderKind:
    """What a folder holds.

    Attributes:
        marker: the file by which it is known.
        what: it is, for messages: `an index`.
        other: what anything else is: `not an index`.
        own: patterns of files that another one in its place may lack, so that they are removed.
    """

    marker: str
    what: str
    other: str
    own: tuple[str, ...] = ()


@contextmanager
def whole_folder(out: Path, kind: FolderKind, *, overwrite: bool) -> Iterator[Path]:
    """A folder beside `out`, flat, that replaces it at the end, or is removed on failure.

    Args:
        out: the final place.
        kind: what it will hold.
        overwrite: whether such a folder may be replaced; anything else never is.

    Raises:
        UserError: something else is there, or such a folder that may not be replaced.
    """
    refuse_other_folder(out, kind, overwrite=overwrite)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.with_name(f".{out.name[:50]}.{os.getpid()}.tmp")
    folder.mkdir()
    try:
        yield folder
        for file in folder.iterdir():
            with open(file, "rb") as handle:
                os.fsync(handle.fileno())
        fsync_folder(folder)
        if out.exists():
            shutil.rmtree(out)
        os.replace(folder, out)
        fsync_folder(out.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def refuse_other_folder(out: Path, kind: FolderKind, *, overwrite: bool) -> None:
    """Check the final place before there is any work to lose.

    Raises:
        UserError: something else is there, or such a folder that may not be replaced.
    """
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / kind.marker).exists())):
        raise UserError(f"{out} is there already, and is {kind.other}; name another --out")
    if (out / kind.marker).exists() and not overwrite:
        raise UserError(f"{out} holds {kind.what}; name another --out, or replace it with --overwrite")
