"""Files from a store to a folder: verified against the manifest, or raw logs as they are."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_path
from ltrec.core.storage.remote.store import RemoteStore
from ltrec.core.storage.remote.url import is_url
from ltrec.data.manifest import MANIFEST, MEND, Manifest
from ltrec.data.remote.config import CacheConfig
from ltrec.data.remote.folder import manifest_text, open_store

OnBytes = Callable[[int], None]


def download(store: RemoteStore, name: str, size: int, sha256: str, folder: Path) -> Path:
    """A file of a data set, read from the store itself and not from a cache.

    Raises:
        UserError: it is missing or not what the manifest says.
    """
    found = hashlib.sha256()
    target = folder / name
    try:
        with atomic_path(target) as temporary, open(temporary, "wb") as writer:
            if (there := store.size(name)) != size and there is not None:
                raise UserError(f"{store.address(name)} has {there} bytes instead of {size}; {MEND}")
            for block in store.blocks(name, size):
                found.update(block)
                writer.write(block)
            writer.flush()
    except FileNotFoundError:
        raise UserError(f"{store.address(name)} is missing; {MEND}") from None
    if found.hexdigest() != sha256:
        target.unlink()
        raise UserError(f"{store.address(name)} is damaged: its sha256 is not the manifest's; {MEND}")
    return target


def download_manifest(store: RemoteStore, folder: Path) -> Manifest:
    """The manifest of a store, also put into a folder."""
    text = manifest_text(store)
    with atomic_path(folder / MANIFEST) as temporary:
        temporary.write_bytes(text)
    return Manifest.parse(text, store.address(MANIFEST))


def spool(argument: str, folder: Path, config: CacheConfig, on_bytes: OnBytes = lambda _: None) -> str:
    """Copy the logs that an address names (a file, a folder or a pattern) into a folder; returns the path, folder or pattern there.

    Names below the argument stay, so that a data set does not depend on where its logs were. Paths are returned as they are.

    Raises:
        UserError: there is nothing, or the store cannot be reached.
    """
    if not is_url(argument):
        return argument
    parts = urlsplit(argument)
    path = PurePosixPath(parts.path)
    plain = [part for part in path.parts if part != "/"]
    magic = next((i for i, part in enumerate(plain) if glob.has_magic(part)), len(plain))
    above, below = plain[: min(magic, len(plain) - 1)], "/".join(plain[min(magic, len(plain) - 1) :])
    store = open_store(parts._replace(path="/" + "/".join(above)).geturl(), config)
    if not (names := _matching(store, below)):
        raise UserError(f"{argument} not found")
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "wb") as writer:
            for block in store.blocks(name, names[name]):
                writer.write(block)
                on_bytes(len(block))
    return str(folder / below)


def _matching(store: RemoteStore, below: str) -> dict[str, int]:
    """Sizes of the files that a name or pattern means; `*` may match more here than on disk, where the choice is made."""
    if glob.has_magic(below):
        first = below.split("/")[0]
        return {
            name: size for name, size in store.list().items() if fnmatch.fnmatchcase(name.split("/")[0], first) or first == "**"
        }
    size = store.size(below)
    return {below: size} if size is not None else store.list(below)
