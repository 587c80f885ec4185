"""A folder in a store, through a pyarrow filesystem: list, read, write, each repeated until it succeeds or time is over.

    s3, gs, hdfs, file    pyarrow's own filesystems
    other schemes         fsspec, which names the package that a scheme needs

Credentials come from where each service's own tools look for them: environment variables, its files, the machine's role. S3 of
another provider: `AWS_ENDPOINT_URL`, or `?endpoint_override=HOST:PORT&scheme=http&region=R` behind the address.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import fsspec
from pyarrow import fs

from ltrec.core.errors import UserError, first_line, nearest
from ltrec.core.storage.remote.retry import Retry
from ltrec.core.storage.remote.url import checked_url, joined

T = TypeVar("T")
_BLOCK = 8 << 20
_OWN = ("gs", "gcs", "hdfs", "viewfs", "file")
_WITHOUT_FOLDERS = ("s3", "gcs")
_S3_OPTIONS = ("endpoint_override", "scheme", "region")
_CONNECT_SECONDS, _REQUEST_SECONDS = 10, 30


class RemoteStore:
    """One folder of a store.

    Args:
        url: its address.
        retry: how long what fails is repeated.

    Raises:
        UserError: the address holds credentials, or nothing knows its scheme.
    """

    def __init__(self, url: str, retry: Retry) -> None:
        self.url, self._retry = checked_url(url), retry
        self._files, self._base = _open(self.url)

    def address(self, name: str) -> str:
        """The address of a file, for messages."""
        return joined(self.url, name)

    def size(self, name: str) -> int | None:
        """Size of a file; None if there is none."""

        def look() -> int | None:
            info = self._files.get_file_info(self._path(name))
            return int(info.size) if info.type == fs.FileType.File else None

        return self._call(name, look)

    def list(self, folder: str = "") -> dict[str, int]:
        """Sizes of all files below a folder, by their names from the store's folder on; empty if there is no such folder."""

        def look() -> dict[str, int]:
            chosen = fs.FileSelector(self._path(folder) if folder else self._base, allow_not_found=True, recursive=True)
            found = [info for info in self._files.get_file_info(chosen) if info.type == fs.FileType.File]
            return {info.path.removeprefix(self._base).lstrip("/"): int(info.size) for info in sorted(found, key=lambda i: i.path)}

        return self._call(folder, look)

    def read(self, name: str, most: int) -> bytes:
        """A whole small file.

        Raises:
            FileNotFoundError: there is none.
            UserError: it is larger than `most` bytes, or the store cannot be reached.
        """
        size = self.size(name)
        if size is None:
            raise FileNotFoundError(self.address(name))
        if size > most:
            raise UserError(f"{self.address(name)} has {size} bytes, more than the {most} that are expected at most")
        return b"".join(self.blocks(name, size))

    def blocks(self, name: str, size: int) -> Iterator[bytes]:
        """A file's `size` bytes in blocks; each is read again if it fails, and the file is opened again for that.

        Raises:
            FileNotFoundError: there is none.
            UserError: it has another size, or the store cannot be reached.
        """
        opened: list[Any] = []

        def block(at: int) -> bytes:
            try:
                if not opened:
                    opened.append(self._files.open_input_file(self._path(name)))
                wanted = min(_BLOCK, size - at)
                found: bytes = opened[0].read_at(wanted, at)
                if len(found) != wanted:
                    raise OSError(f"{len(found)} of {wanted} bytes came")
            except Exception:
                opened.clear()
                raise
            return found

        if not size:
            return
        for at in range(0, size, _BLOCK):
            yield self._call(name, lambda at=at: block(at))  # type: ignore[misc]

    def write(self, name: str, content: bytes) -> None:
        """A whole small file."""
        self._call(name, lambda: self._send(name, iter([content])))

    def upload(self, path: Path, name: str, on_bytes: Callable[[int], None] = lambda _: None) -> None:
        """Write a local file to the store; a failed attempt is repeated from the beginning."""

        def send() -> None:
            with open(path, "rb") as source:
                self._send(name, iter(lambda: source.read(_BLOCK), b""))

        self._call(name, send)
        on_bytes(path.stat().st_size)

    def replace(self, path: Path, name: str) -> None:
        """Write a local file to the store so that nobody sees it before it is whole. An object appears when it is; elsewhere it is
        written under another name, and renamed."""
        if self._files.type_name in _WITHOUT_FOLDERS:
            self.upload(path, name)
            return
        self.upload(path, part := f"{name}.part")
        self.remove(name)  # not every file system renames over a file
        self._call(name, lambda: self._files.move(self._path(part), self._path(name)))

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens if there is none."""
        if self.size(name) is not None:
            self._call(name, lambda: self._files.delete_file(self._path(name)))

    def _send(self, name: str, blocks: Iterator[bytes]) -> None:
        path = self._path(name)
        if self._files.type_name not in _WITHOUT_FOLDERS:
            self._files.create_dir(path.rpartition("/")[0], recursive=True)
        with self._files.open_output_stream(path) as target:
            for block in blocks:
                target.write(block)

    def _path(self, name: str) -> str:
        return f"{self._base}/{name}"

    def _call(self, name: str, attempt: Callable[[], T]) -> T:
        return self._retry.call(self.address(name) if name else self.url, attempt)


def _open(url: str) -> tuple[Any, str]:
    """The filesystem of an address, and the folder in it."""
    parts = urlsplit(url)
    base = unquote(parts.netloc + parts.path)
    try:
        if parts.scheme in ("s3", "s3a", "s3n"):
            return _s3(parts.query, url), base
        if parts.scheme in _OWN:
            files, base = fs.FileSystem.from_uri(url)
            return files, str(base)
        files, base = fsspec.core.url_to_fs(url)
        return fs.PyFileSystem(fs.FSSpecHandler(files)), str(base)
    except (ValueError, ImportError, OSError) as error:
        raise UserError(f"{url} cannot be opened: {first_line(error)}") from None


def _s3(query: str, url: str) -> fs.S3FileSystem:
    options = dict(parse_qsl(query))
    for name in options:
        if name not in _S3_OPTIONS:
            raise UserError(f"{url}: {name!r} is not one of {', '.join(_S3_OPTIONS)}{nearest(name, _S3_OPTIONS)}")
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint and "endpoint_override" not in options:
        options = {"scheme": urlsplit(endpoint).scheme, "endpoint_override": urlsplit(endpoint).netloc, **options}
    if "region" not in options and "endpoint_override" not in options and not _has_region():
        options["region"] = fs.resolve_s3_region(urlsplit(url).netloc)
    return fs.S3FileSystem(
        **options,
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_REQUEST_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),  # repeated here, with one end for all
        background_writes=False,
    )


def _has_region() -> bool:
    return bool(os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_PROFILE"))
