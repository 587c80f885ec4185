"""Where the shards of a data set come from: its folder, or a store behind the node's cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Lock
from typing import Protocol

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import sha256_file
from ltrec.core.storage.remote.node_cache import CachedFile, NodeCache, is_intact
from ltrec.core.storage.remote.store import RemoteStore
from ltrec.data.manifest import MEND

_WAY_OUT = f"copy the data set there again, or {MEND}"


class WrongHash(UserError):
    """A file whose size is right, and whose content is not."""


class ShardFiles(Protocol):
    """The files of a data set, by their names in the manifest."""

    downloads: int
    """Files to get at the same time ahead of their use; 0 = they are here."""

    def place(self, name: str) -> str:
        """Path or address, for messages."""

    def hold(self, name: str, size: int, sha256: str, *, check: bool) -> AbstractContextManager[Path]:
        """The file's path, which is good as long as the context is open.

        Args:
            name: of the file.
            size: bytes, by the manifest.
            sha256: by the manifest.
            check: compare the hash.

        Raises:
            UserError: the file is missing or another one.
        """

    def get(self, name: str, size: int, sha256: str) -> None:
        """Have a file on this node, if there is room for it now; it need not stay.

        Raises:
            UserError: it did not come.
        """

    def refuse_missing(self, files: Iterable[tuple[str, int]]) -> None:
        """Refuse a data set of which a file (name, bytes) is obviously missing or another one.

        Raises:
            UserError: names the file.
        """

    def refetch(self, name: str, sha256: str) -> bool:
        """Whether damage can be mended: the copy is removed, and the next `hold` gets a new one."""


class LocalFiles:
    """The files of a folder."""

    downloads = 0

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, name: str) -> str:
        """Path."""
        return str(self._folder / name)

    @contextmanager
    def hold(self, name: str, size: int, sha256: str, *, check: bool) -> Iterator[Path]:
        """The path."""
        path = self._folder / name
        if check:
            check_hash(path, sha256)
        yield path

    def get(self, name: str, size: int, sha256: str) -> None:
        """It is here."""

    def refuse_missing(self, files: Iterable[tuple[str, int]]) -> None:
        """Compare the size of every file."""
        for name, size in files:
            check_size(self._folder / name, size)

    def refetch(self, name: str, sha256: str) -> bool:
        """Never: there is no other copy."""
        return False


class RemoteFiles:
    """The files of a store, each in the node's cache from its first use on.

    Args:
        store: where they are.
        cache: where they are kept.
        downloads: files to get at the same time ahead of their use.
        way_out: what mends a missing file, for the message.
    """

    def __init__(self, store: RemoteStore, cache: NodeCache, downloads: int, way_out: str = _WAY_OUT) -> None:
        self._store, self._cache, self.downloads, self._way_out = store, cache, downloads, way_out
        self._intact: set[str] = set()  # hashes of files that this process has written or checked
        self._lock = Lock()

    def place(self, name: str) -> str:
        """Address."""
        return self._store.address(name)

    @contextmanager
    def hold(self, name: str, size: int, sha256: str, *, check: bool) -> Iterator[Path]:
        """The path in the cache. The hash of a copy is compared when this process first uses it, whatever `check`; a damaged one is
        replaced."""
        file = CachedFile(sha256, size, self.place(name))
        while True:
            with self._cache.hold(file, lambda: self._blocks(name, size)) as (path, is_new):
                if is_new or sha256 in self._intact or is_intact(path, file):
                    with self._lock:
                        self._intact.add(sha256)
                    yield path
                    return
                self._cache.remove(file)

    def get(self, name: str, size: int, sha256: str) -> None:
        """Download it to the cache, unless that is full of files in use."""
        with self._cache.hold(CachedFile(sha256, size, self.place(name)), lambda: self._blocks(name, size), wait=False):
            pass

    def _blocks(self, name: str, size: int) -> Iterator[bytes]:
        try:
            yield from self._store.blocks(name, size)
        except FileNotFoundError:
            raise UserError(f"{self.place(name)} is missing in the store; {self._way_out}") from None

    def refuse_missing(self, files: Iterable[tuple[str, int]]) -> None:
        """Nothing is requested from the store before a file is needed."""

    def refetch(self, name: str, sha256: str) -> bool:
        """Remove the copy, once for each time that it was found intact."""
        with self._lock:
            self._intact.discard(sha256)
        self._cache.remove(CachedFile(sha256, 0, self.place(name)))
        return True


def check_size(path: Path, expected: int) -> None:
    """Compare a file's size with the manifest's.

    Raises:
        UserError: the file is missing or has another size.
    """
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        raise UserError(f"{path} is missing: the manifest names it; copy the data set again, or {MEND}") from None
    if found != expected:
        raise UserError(f"{path} has {found} bytes, the manifest says {expected}; copy the data set again, or {MEND}")


def check_hash(path: Path, expected: str) -> None:
    """Compare a file's sha256 with the manifest's.

    Raises:
        WrongHash: they differ.
    """
    if sha256_file(path) != expected:
        raise WrongHash(f"{path} is damaged: its sha256 differs from the manifest's; copy the data set again, or {MEND}")
