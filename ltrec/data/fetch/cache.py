"""The user's cache of downloads: a file per content hash, verified whenever it is read.

    Linux    $XDG_CACHE_HOME/ltrec, else ~/.cache/ltrec
    macOS    ~/Library/Caches/ltrec
    Windows  %LOCALAPPDATA%/ltrec

A cache that cannot be read or written only costs another download; it is never an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ltrec.core.storage.atomic import atomic_path


@dataclass(frozen=True, slots=True)
class Cache:
    """Files named by the sha256 of their content.

    Attributes:
        folder: where the files are.
        on_note: called with a line about anything that did not work.
    """

    folder: Path
    on_note: Callable[[str], None]

    def path(self, sha256: str) -> Path:
        """Path of the file with this hash."""
        return self.folder / "downloads" / sha256

    def read(self, sha256: str) -> bytes | None:
        """The content with this hash, or None if it is absent, unreadable or no longer matches the hash."""
        path = self.path(sha256)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.on_note(f"cached file {path} cannot be read ({error.strerror}); downloading again")
            return None
        if hashlib.sha256(content).hexdigest() == sha256:
            return content
        self.on_note(f"cached file {path} is damaged; downloading again")
        return None

    def write(self, sha256: str, content: bytes) -> None:
        """Store `content`, whose hash the caller has checked; replaces a damaged file."""
        try:
            with atomic_path(self.path(sha256)) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            self.on_note(
                f"the download cannot be cached in {self.folder} ({error.strerror or error}); it will be needed again next time"
            )
