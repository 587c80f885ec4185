"""The code of a run, kept in its folder: a job that waits, or comes back, runs what was submitted and not what was typed since.

runs/<name>/code/<digest>/ltrec/...      the package, when it lies in a checkout; an installed one does not change
runs/<name>/code/<digest>/commit.json    what git says of it, which the run's provenance repeats
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import ltrec
from ltrec.core.files import atomic_write_text, canonical_json
from ltrec.tracking.provenance import git_state

_PACKAGE = Path(ltrec.__file__).resolve().parent


def is_editable(package: Path = _PACKAGE) -> bool:
    """Whether the package lies where people edit it."""
    return not {"site-packages", "dist-packages"} & set(package.parts)


def snapshot(folder: Path, package: Path = _PACKAGE) -> Path:
    """Copy the package to `folder`/<digest> unless it is there; returns that folder, whole or not there at all."""
    files = sorted(p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    content = hashlib.sha256()
    for path in files:
        content.update(f"{path.relative_to(package)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    final = folder / content.hexdigest()[:12]
    if final.exists():
        return final
    temporary = folder / f".{final.name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for path in files:
            copy = temporary / package.name / path.relative_to(package)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        if (state := git_state(package)) is not None:
            atomic_write_text(temporary / "commit.json", canonical_json(state))
        temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final
