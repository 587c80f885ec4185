"""Mirrors: several places with the same file, tried in turn until one delivers the right bytes.

    cache (any mirror's files) -> mirror 1 -> mirror 2 -> ... -> UserError that lists what was tried

A mirror downloads an archive into a scratch folder; the required members are extracted and must match the hashes pinned for that
mirror. After a wrong hash, a truncated archive or a refused connection the next mirror is tried. The hashes are those of the
members, not of the archive, so a proxy that repacks archives does no harm.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Protocol

from ltrec.core.progress import Progress
from ltrec.data.fetch.cache import Cache

_BLOCK = 1 << 16
_ARCHIVE_LIMIT = 1 << 28  # no archive here is near 256 MiB: a server that sends more is sending something else


class MirrorError(Exception):
    """A mirror did not deliver the file; the text says why. Never raised outside the fetch package."""


@dataclass(frozen=True, slots=True)
class Member:
    """A required file in a mirror's archive, with its exact size in bytes and its hex sha256."""

    path: str
    bytes: int
    sha256: str


class Mirror(Protocol):
    """A place to download from."""

    @property
    def name(self) -> str:
        """Its name in messages."""

    @property
    def members(self) -> tuple[Member, ...]:
        """The files of this mirror, in the same order for all mirrors of a data set."""

    def download(self, scratch: Path, on_progress: Progress) -> Path:
        """Download the archive into `scratch` and return its path.

        Raises:
            MirrorError: the download failed.
        """


@dataclass(frozen=True, slots=True)
class HttpArchive:
    """A zip archive at a URL, read with the standard library (which respects the usual proxy variables)."""

    url: str
    members: tuple[Member, ...]
    timeout_s: float = 15.0  # per connection attempt and per read, not for the whole file

    @property
    def name(self) -> str:
        """The URL."""
        return self.url

    def download(self, scratch: Path, on_progress: Progress) -> Path:
        """Copy the URL to a file."""
        archive = scratch / "archive.zip"
        request = urllib.request.Request(self.url, headers={"User-Agent": "ltrec"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response, open(archive, "wb") as copy:
                total, done = int(response.headers.get("Content-Length") or 0), 0
                on_progress(self.name, done, total)
                while block := response.read(_BLOCK):
                    done += len(block)
                    if done > _ARCHIVE_LIMIT:
                        raise MirrorError(f"more than {_ARCHIVE_LIMIT >> 20} MiB were sent")
                    copy.write(block)
                    on_progress(self.name, done, total)
        except urllib.error.URLError as error:
            raise MirrorError(str(error.reason)) from error
        except (OSError, HTTPException, ValueError) as error:
            raise MirrorError(f"{type(error).__name__}: {error}") from error
        return archive


@dataclass(frozen=True, slots=True)
class PipWheel:
    """A wheel of a package index, downloaded with the user's pip so that its mirrors, proxies and certificates are used.

    The wheel is only downloaded, never installed or built (`--only-binary`), so no foreign code runs.
    """

    requirement: str
    members: tuple[Member, ...]
    pip: tuple[str, ...] = (sys.executable, "-m", "pip")
    timeout_s: float = 300.0  # for the whole download: pip has its own time-outs and retries

    @property
    def name(self) -> str:
        """The requirement."""
        return f"pip wheel {self.requirement}"

    def download(self, scratch: Path, on_progress: Progress) -> Path:
        """Run ``pip download`` and return the wheel."""
        on_progress(self.name, 0, 0)
        options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check"]
        try:
            done = subprocess.run(
                [*self.pip, "download", *options, self.requirement, "-d", str(scratch)],
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=self.timeout_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MirrorError(str(error)) from error
        wheels = sorted(scratch.glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            raise MirrorError(_last_error(done.stderr) or f"pip ended with code {done.returncode} and {len(wheels)} wheels")
        on_progress(self.name, wheels[0].stat().st_size, wheels[0].stat().st_size)
        return wheels[0]


def obtain(mirrors: Sequence[Mirror], cache: Cache, on_progress: Progress) -> tuple[Mirror, tuple[bytes, ...]]:
    """The first mirror that delivers its members undamaged, and the members. Cached members are used before any download.

    Raises:
        MirrorError: no mirror delivered them; the text has a reason per mirror.
    """
    for mirror in mirrors:
        cached = [cache.read(member.sha256) for member in mirror.members]
        if None not in cached:
            return mirror, tuple(content for content in cached if content is not None)
    reasons: list[str] = []
    for mirror in mirrors:
        try:
            contents = _download_members(mirror, on_progress)
        except MirrorError as error:
            reasons.append(f"{mirror.name}: {error}")
            cache.on_note(f"{mirror.name} did not work ({error})")
            continue
        for member, content in zip(mirror.members, contents, strict=True):
            cache.write(member.sha256, content)
        return mirror, contents
    raise MirrorError("; ".join(reasons))


def _download_members(mirror: Mirror, on_progress: Progress) -> tuple[bytes, ...]:
    try:
        with tempfile.TemporaryDirectory(prefix="ltrec-fetch-") as scratch:
            archive = mirror.download(Path(scratch), on_progress)
            return tuple(_read_member(archive, member) for member in mirror.members)
    except OSError as error:
        raise MirrorError(f"the scratch folder failed: {error}") from error


def _read_member(archive: Path, member: Member) -> bytes:
    """Read a member; at most one byte more than expected is unpacked, so a hostile archive cannot exhaust memory."""
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member.path) as handle:
            content = handle.read(member.bytes + 1)
    except KeyError as error:
        raise MirrorError(f"the archive has no {member.path}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise MirrorError(f"the archive is damaged ({error})") from error
    if len(content) != member.bytes or hashlib.sha256(content).hexdigest() != member.sha256:
        raise MirrorError(f"{member.path} has the wrong hash: damaged in transit, or changed at the source")
    return content


def _last_error(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    complaints = [line for line in lines if line.startswith("ERROR:")] or lines
    return complaints[-1].removeprefix("ERROR:").strip() if complaints else ""
