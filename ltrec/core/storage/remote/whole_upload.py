"""A folder in a store that is whole or absent: it has its marker, by which readers know it, only while all of its files are there.

First `.ltrec-writing` is put there and the marker of what is replaced removed; then all files are written and their sizes compared;
then the marker is written; last, files of what was replaced are removed, and `.ltrec-writing`. A killed upload leaves a folder
without a marker, which the next one completes. Of two that write at the same time, readers find files that are not those of the
marker's digests, and say so.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.storage.remote.store import RemoteStore
from ltrec.core.storage.whole_folder import FolderKind

WRITING = ".ltrec-writing"


def refuse_other_stored(store: RemoteStore, kind: FolderKind, *, overwrite: bool) -> None:
    """Check the place before there is any work to lose.

    Raises:
        UserError: something else is there, or such a folder that may not be replaced, or the store cannot be reached.
    """
    there = store.list()
    if kind.marker in there and not overwrite:
        raise UserError(f"{store.url} holds {kind.what}; name another --out, or replace it with --overwrite")
    if there and not {kind.marker, WRITING} & there.keys():
        raise UserError(f"{store.url} is there already, and is {kind.other}; name another --out")


def upload_whole(folder: Path, store: RemoteStore, kind: FolderKind) -> None:
    """Write a flat folder to a store.

    Raises:
        UserError: the store cannot be reached, or has another size of a file afterwards.
    """
    files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file() and path.name != kind.marker}
    store.write(WRITING, kind.what.encode())
    store.remove(kind.marker)
    for name, path in files.items():
        store.upload(path, name)
    there = store.list()
    for name, path in files.items():
        if (size := path.stat().st_size) != there.get(name):
            raise UserError(f"{store.address(name)} has {there.get(name, 0)} bytes instead of {size}; run the same command again")
    store.write(kind.marker, (folder / kind.marker).read_bytes())
    for name in there.keys() - files.keys() - {kind.marker}:
        if any(fnmatchcase(name, own) for own in kind.own) and "/" not in name:
            store.remove(name)
    store.remove(WRITING)
