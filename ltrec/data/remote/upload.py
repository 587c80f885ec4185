"""Write a prepared data set to a store: every file, then the manifest, then what an older data set left is removed.

Before its manifest is there, nobody reads a data set. An interrupted upload is repeated: what is there byte for byte stays.
"""

from __future__ import annotations

import hashlib
from fnmatch import fnmatchcase
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.progress import Progress, silent
from ltrec.core.storage.remote.store import RemoteStore
from ltrec.data.manifest import MANIFEST, Manifest
from ltrec.data.schema import OWN_FILES


def upload_dataset(folder: Path, manifest: Manifest, store: RemoteStore, on_progress: Progress = silent) -> None:
    """Upload a whole data set; readers find the old one until the last moment.

    Raises:
        UserError: the store cannot be reached, holds something else, or has another size of a file afterwards.
    """
    files, there = manifest.files(), store.list()
    refuse_foreign(there, store)
    done, total = 0, sum(size for size, _ in files.values())
    for name, (size, sha256) in sorted(files.items()):
        if there.get(name) != size or _digest(store, name, size) != sha256:
            store.upload(folder / name, name)
        done += size
        on_progress("upload", done, total)
    refuse_incomplete(store, manifest)
    store.write(MANIFEST, (folder / MANIFEST).read_bytes())
    for name in there:
        if name != MANIFEST and name not in files:
            store.remove(name)


def refuse_incomplete(store: RemoteStore, manifest: Manifest, remedy: str = "run the same command again") -> None:
    """Compare the sizes of all files with the manifest.

    Raises:
        UserError: names the first that differs, and the remedy.
    """
    there = store.list()
    for name, (size, _) in sorted(manifest.files().items()):
        if there.get(name) != size:
            what = f"has {there[name]} bytes instead of {size}" if name in there else "is missing"
            raise UserError(f"{store.address(name)} {what}; {remedy}")


def refuse_foreign(there: dict[str, int], store: RemoteStore) -> None:
    """Refuse a folder that holds anything but a data set.

    Raises:
        UserError: names a file.
    """
    for name in there:
        if name != MANIFEST and not any(fnmatchcase(name, own) for own in OWN_FILES):
            raise UserError(f"{store.url} holds other files ({name}); choose an empty folder for --out")


def _digest(store: RemoteStore, name: str, size: int) -> str:
    found = hashlib.sha256()
    for block in store.blocks(name, size):
        found.update(block)
    return found.hexdigest()
