"""Verifies a data set in a store: every byte is read from there, one shard at a time, without the node's cache."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.progress import Progress, silent
from ltrec.core.storage.remote.store import RemoteStore
from ltrec.data.manifest import MANIFEST, MEND, Layer, Manifest, Shard
from ltrec.data.remote.download import download, download_manifest
from ltrec.data.remote.upload import refuse_foreign, refuse_incomplete
from ltrec.data.verify.dataset import check_contents


def verify_store(store: RemoteStore, on_progress: Progress = silent) -> Manifest:
    """Check everything and return the manifest; needs disk space for the largest shard and all user ids.

    Raises:
        UserError: at the first fault; names the file (and the row group).
    """
    with tempfile.TemporaryDirectory(prefix="ltrec-verify-") as temporary:
        folder = Path(temporary)
        manifest = download_manifest(store, folder)
        there = store.list()
        refuse_foreign(there, store)
        refuse_incomplete(store, manifest, MEND)
        if others := sorted(there.keys() - manifest.files().keys() - {MANIFEST}):
            raise UserError(f"{store.address(others[0])} is not in the manifest; remove it, or {MEND}")
        shards = {file.path for file in manifest.row_files}
        for name, (size, sha256) in manifest.files().items():
            if name not in shards:
                download(store, name, size, sha256, folder)
        try:
            check_contents(folder, manifest, _FetchedShards(store, folder, manifest), on_progress)
        except UserError as error:
            raise UserError(str(error).replace(temporary, store.url)) from None
        return manifest


class _FetchedShards:
    """Shards that are there only while they are checked; of each the user ids stay."""

    def __init__(self, store: RemoteStore, folder: Path, manifest: Manifest) -> None:
        self._store, self._folder, self._manifest = store, folder, manifest

    @contextmanager
    def opened(self, shard: Shard) -> Iterator[Path]:
        """The folder with the shard's files."""
        files: list[Shard | Layer] = [shard, *(self._manifest.layers[number] for number in shard.layers)]
        for file in files:
            download(self._store, file.path, file.bytes, file.sha256, self._folder)
        yield self._folder
        for file in files:
            (self._folder / file.path).unlink()

    def users(self, shard: Shard) -> Path | None:
        """None: the file will be gone."""
        del shard
        return None
