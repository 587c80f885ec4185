"""Logs and data sets in a store: prepared on this machine, uploaded with the manifest last."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ltrec.core.errors import UserError
from ltrec.core.progress import Progress
from ltrec.core.storage.remote.file_locks import only_one
from ltrec.core.storage.remote.store import RemoteStore
from ltrec.core.storage.remote.url import is_url
from ltrec.data.manifest import MANIFEST, Manifest
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare, refuse_other
from ltrec.data.prepare.progress import MENDING, UNCHANGED
from ltrec.data.remote.config import CacheConfig
from ltrec.data.remote.download import spool
from ltrec.data.remote.folder import cache_folder, manifest_text, open_store
from ltrec.data.remote.upload import refuse_foreign, refuse_incomplete, upload_dataset


@contextmanager
def local_logs(config: PrepareConfig, cache: CacheConfig, on_progress: Progress) -> Iterator[PrepareConfig]:
    """The config with local copies of all logs and tables that are in stores; the copies are removed at the end.

    Raises:
        UserError: there are no such logs, or the store cannot be reached.
    """
    places = [*config.sources, config.items.source, config.users.source]
    if not any(is_url(place) for place in places):
        yield config
        return
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        on_progress("download", done, 0)

    with _own_folder(cache, "logs", *places) as folder:
        shutil.rmtree(folder, ignore_errors=True)
        try:
            *sources, items, users = [spool(place, folder / str(i), cache, on_bytes) for i, place in enumerate(places)]
            tables: dict[str, Any] = {"items": replace(config.items, source=items), "users": replace(config.users, source=users)}
            yield replace(config, sources=tuple(sources), **tables)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def prepare_to(url: str, config: PrepareConfig, cache: CacheConfig, on_progress: Progress, *, overwrite: bool) -> Manifest:
    """Prepare a data set into a store; does nothing if it is there, unchanged and complete.

    What is finished stays on this machine until it is uploaded, so that an interrupted upload can be repeated without the work.

    Raises:
        UserError: as `prepare` does, or the store cannot be reached or holds something else.
    """
    store = open_store(url, cache)
    parts = urlsplit(store.url)
    config = replace(config, name=config.name or PurePosixPath(parts.path).name or parts.netloc)
    there = store.list()
    refuse_foreign(there, store)
    if MANIFEST in there and not overwrite:
        old = Manifest.parse(manifest_text(store), store.address(MANIFEST))
        refuse_other(config, old, url, on_progress)
        if _is_complete(store, old):
            on_progress(UNCHANGED, 1, 1)
            return old
        on_progress(MENDING, 0, 0)
    with _own_folder(cache, "prepared", store.url) as folder:
        manifest = prepare(config, folder, _without_marks(on_progress), overwrite or _is_other(folder, config))
        upload_dataset(folder, manifest, store, on_progress)
        shutil.rmtree(folder, ignore_errors=True)
    return manifest


def _is_complete(store: RemoteStore, manifest: Manifest) -> bool:
    try:
        refuse_incomplete(store, manifest)
    except UserError:
        return False
    return True


def _is_other(folder: Path, config: PrepareConfig) -> bool:
    """Whether what is left on this machine of an earlier attempt is another data set."""
    try:
        if (folder / MANIFEST).exists():
            refuse_other(config, Manifest.load(folder), str(folder))
    except UserError:
        return True
    return False


def _without_marks(on_progress: Progress) -> Progress:
    """What is left on this machine is nobody's data set: whether it was there before is not told."""
    return lambda what, done, total: None if what in (UNCHANGED, MENDING) else on_progress(what, done, total)


@contextmanager
def _own_folder(cache: CacheConfig, what: str, *places: str) -> Iterator[Path]:
    """A folder beside the cache for the work on these places, which one process does at a time; others wait."""
    above = cache_folder(cache) / what
    above.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256("\n".join(places).encode()).hexdigest()[:16]
    with only_one(above / f".{key}.lock"):
        yield above / key
