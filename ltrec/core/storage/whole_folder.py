"""Folders that are whole or absent: write beside the final place, flush, rename."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import fsync_folder


@contextmanager
def whole_folder(out: Path, marker: str, what: str, *, overwrite: bool) -> Iterator[Path]:
    """A folder beside `out`, flat, that replaces it at the end, or is removed on failure.

    Args:
        out: the final place.
        marker: the file by which such a folder is known.
        what: it is, for messages: `an index`.
        overwrite: whether such a folder may be replaced; anything else never is.

    Raises:
        UserError: something else is there, or such a folder that may not be replaced.
    """
    refuse_other_folder(out, marker, what, overwrite=overwrite)
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


def refuse_other_folder(out: Path, marker: str, what: str, *, overwrite: bool) -> None:
    """Check the final place before there is any work to lose.

    Raises:
        UserError: something else is there, or such a folder that may not be replaced.
    """
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / marker).exists())):
        raise UserError(f"{out} is there already, and is not {what}; name another --out")
    if (out / marker).exists() and not overwrite:
        raise UserError(f"{out} holds {what}; name another --out, or replace it with --overwrite")
