"""A digest of every file of the package: it changes with the code, also where the version number does not."""

from __future__ import annotations

import hashlib
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def package_files(package: Path = PACKAGE) -> list[Path]:
    """The package's files without compiled ones, sorted by path."""
    return sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def code_digest(package: Path = PACKAGE) -> str:
    """Twelve hex digits of the sha256 over names and contents; a checkout and its copy in a run folder have the same."""
    content = hashlib.sha256()
    for path in package_files(package):
        content.update(f"{path.relative_to(package)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return content.hexdigest()[:12]
