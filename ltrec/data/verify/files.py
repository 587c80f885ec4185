"""Checks that every file of a manifest is there with its size and sha256, and that there are no other files among them."""

from __future__ import annotations

from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.progress import Progress
from ltrec.core.storage.atomic import sha256_file
from ltrec.data.manifest import MEND, Manifest
from ltrec.data.schema import OVER_BUDGET, OWN_FILES, WORK


def check_files(folder: Path, manifest: Manifest, on_progress: Progress) -> None:
    """Read every file and compare it with the manifest.

    Raises:
        UserError: at the first fault; names the file.
    """
    named = manifest.files()
    done, total = 0, sum(size for size, _ in named.values())
    for name, (size, sha256) in sorted(named.items()):
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path} is missing; {MEND}")
        if path.stat().st_size != size:
            raise UserError(f"{path} has {path.stat().st_size} bytes instead of {size}; {MEND}")
        if sha256_file(path) != sha256:
            raise UserError(f"{path} is damaged: its sha256 is not the manifest's; {MEND}")
        done += size
        on_progress("files", done, total)
    _refuse_others(folder, named)


def _refuse_others(folder: Path, named: dict[str, tuple[int, str]]) -> None:
    """Refuse files that the manifest does not name: they may be left over from a data set that was being written or replaced."""
    tolerated = {path for own in (OWN_FILES if (folder / WORK).exists() else [OVER_BUDGET]) for path in folder.glob(own)}
    for inner in ("vocab", "items", "columns", "reach", "_rejects", "stratum=*"):
        for path in sorted(folder.glob(f"{inner}/**/*")):
            foreign = path.relative_to(folder).as_posix() not in named and path not in tolerated
            if foreign and path.is_file() and not path.name.startswith("."):
                raise UserError(f"{path} is not in the manifest; remove it, or {MEND}")
