"""Results that go to a store, by way of a folder of this machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from ltrec.core.errors import UserError
from ltrec.core.storage.remote.url import is_url
from ltrec.core.storage.remote.whole_upload import refuse_other_stored, upload_whole
from ltrec.core.storage.whole_folder import FolderKind
from ltrec.data.remote.folder import open_store


def shown_place(out: str | os.PathLike[str]) -> Path | str:
    """How a result names its place: an address is no path, which would lose one of its slashes."""
    return os.fspath(out) if is_url(os.fspath(out)) else Path(out)


@contextmanager
def folder_for(
    out: str | os.PathLike[str], kind: FolderKind, *, overwrite: bool, kept: Path | None = None, uploads: bool = True
) -> Iterator[Path]:
    """Where to write a folder: there; or, for an address, a folder of this machine, which is uploaded at the end and removed.

    Args:
        out: a folder, or an address.
        kind: what it will hold.
        overwrite: whether such a folder may be replaced.
        kept: the folder of this machine, which stays when the work is interrupted; None = a temporary one.
        uploads: whether this process does it.

    Raises:
        UserError: something else is at the address, or the store cannot be reached.
    """
    if not is_url(os.fspath(out)):
        yield Path(out)
        return
    store = open_store(os.fspath(out))
    refuse_other_stored(store, kind, overwrite=overwrite)
    with tempfile.TemporaryDirectory(prefix="ltrec-") as temporary:
        folder = Path(temporary) / "out" if kept is None else kept
        yield folder
        if uploads:
            upload_whole(folder, store, kind)
            shutil.rmtree(folder)


@contextmanager
def file_for(out: str | os.PathLike[str]) -> Iterator[Path]:
    """Where to write a file: there; or, for an address, a temporary file, which is uploaded at the end.

    Raises:
        UserError: the store cannot be reached.
    """
    if not is_url(os.fspath(out)):
        yield Path(out)
        return
    parts = urlsplit(os.fspath(out))
    above, name = PurePosixPath(parts.path).parent.as_posix(), PurePosixPath(parts.path).name
    if not name:
        raise UserError(f"{out} names no file; an address is like s3://bucket/top-k.parquet")
    store = open_store(parts._replace(path=above).geturl())
    with tempfile.TemporaryDirectory(prefix="ltrec-") as temporary:
        yield Path(temporary) / name
        store.replace(Path(temporary) / name, name)
