"""Open a prepared data set by its path or its address.

A data set in a store becomes a folder in the node's cache, so that all who read one need no other way:

    CACHE/sets/<digest of the manifest>/manifest.json
    CACHE/sets/<digest of the manifest>/<every file but shards> -> ../../files/<sha256>    held as long as the process lives
    CACHE/files/<sha256>                                           shards, downloaded when they are read (`shard_files`)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_path
from ltrec.core.storage.remote.node_cache import FULL, NodeCache
from ltrec.core.storage.remote.retry import Retry
from ltrec.core.storage.remote.store import RemoteStore
from ltrec.core.storage.remote.url import is_url
from ltrec.core.storage.user_cache import user_cache
from ltrec.data.manifest import LARGEST_BYTES, MANIFEST, Manifest
from ltrec.data.remote.config import CacheConfig
from ltrec.data.remote.shard_files import LocalFiles, RemoteFiles, ShardFiles


@dataclass(frozen=True, slots=True)
class _Opened:
    """A data set in a store: its files and manifest, and what holds those of its files that are whole in the cache."""

    files: RemoteFiles
    manifest: Manifest
    held: ExitStack


_OPEN: dict[Path, _Opened] = {}


def open_folder(place: str | os.PathLike[str], config: CacheConfig | None = None) -> Path:
    """The folder to read a data set from: itself, or what stands for it in the node's cache.

    Args:
        place: a folder, or an address such as s3://bucket/folder.
        config: of the cache; None = the defaults.

    Raises:
        UserError: the store cannot be reached, or holds no whole data set.
    """
    if not is_url(os.fspath(place)):
        return Path(place)
    config = config or CacheConfig()
    store, cache = open_store(os.fspath(place), config), node_cache(config)
    text = manifest_text(store)
    manifest = Manifest.parse(text, store.address(MANIFEST))
    folder = put_text(cache, manifest.digest, MANIFEST, text)
    files, held = RemoteFiles(store, cache, config.downloads), ExitStack()
    shards = {file.path for file in manifest.row_files}
    for name, (size, sha256) in manifest.files().items():
        if name not in shards and not name.startswith("_"):
            put_link(folder / name, held.enter_context(files.hold(name, size, sha256, check=True)))
    if (before := _OPEN.get(folder)) is not None:
        before.held.close()
    _OPEN[folder] = _Opened(files, manifest, held)
    return folder


def manifest_of(folder: Path) -> Manifest:
    """The manifest of a folder that `open_folder` gave; one of a store is not parsed again."""
    return opened.manifest if (opened := _OPEN.get(folder)) is not None else Manifest.load(folder)


def read_manifest(place: str | os.PathLike[str]) -> Manifest:
    """The manifest of a folder or an address alone.

    Raises:
        UserError: it is missing or damaged, or the store cannot be reached.
    """
    if not is_url(os.fspath(place)):
        return Manifest.load(Path(place))
    store = open_store(os.fspath(place))
    return Manifest.parse(manifest_text(store), store.address(MANIFEST))


def open_store(url: str, config: CacheConfig | None = None) -> RemoteStore:
    """The store of an address."""
    return RemoteStore(url, Retry((config or CacheConfig()).retry_seconds))


def shard_files(folder: Path) -> ShardFiles:
    """Where a data set's shards come from: the folder itself, or a store if `open_folder` gave it."""
    return opened.files if (opened := _OPEN.get(folder)) is not None else LocalFiles(folder)


def manifest_text(store: RemoteStore) -> bytes:
    """The manifest in a store, unchecked.

    Raises:
        UserError: there is none.
    """
    try:
        return store.read(MANIFEST, LARGEST_BYTES)
    except FileNotFoundError:
        raise UserError(
            f"{store.address(MANIFEST)} not found: {store.url} is not a prepared data set; create one with 'ltrec prepare'"
        ) from None


def node_cache(config: CacheConfig) -> NodeCache:
    """The cache of this node.

    Raises:
        UserError: as `cache_folder`.
    """
    return NodeCache(cache_folder(config), config.max_mib << 20)


def cache_folder(config: CacheConfig, variables: Mapping[str, str] = os.environ) -> Path:
    """Where the cache is.

    Raises:
        UserError: `dir` names a variable that is not set.
    """
    if config.dir.startswith("$"):
        if not (named := variables.get(config.dir[1:])):
            raise UserError(f"data.cache.dir={config.dir}: {os.uname().nodename} has no such variable")
        return Path(named) / "ltrec"
    if config.dir:
        return Path(config.dir)
    if chosen := variables.get("LTREC_CACHE"):
        return Path(chosen)
    return Path(temporary) / "ltrec" if (temporary := variables.get("SLURM_TMPDIR")) else user_cache() / "data"


def put_text(cache: NodeCache, digest: str, name: str, text: bytes) -> Path:
    """Write what names the files of a folder, which was checked, into a folder of its own in the cache; returns that.

    Raises:
        UserError: it cannot be written.
    """
    folder = cache.folder / "sets" / digest
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / name).exists() or (folder / name).read_bytes() != text:
                with atomic_path(folder / name) as temporary:
                    temporary.write_bytes(text)
            return folder
        except OSError as error:
            if error.errno not in FULL or not cache.evict_oldest():
                raise UserError(f"{folder} cannot be written ({error.strerror}); choose another data.cache.dir") from None


def put_link(link: Path, path: Path) -> None:
    """Let a name in the folder lead to a file in the cache."""
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name[:50]}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(path, link.parent))
    os.replace(temporary, link)
