"""Logs and output must not contain each other: shards would be read as logs the next time, or logs replaced by shards."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from ltrec.core.errors import UserError


def refuse_overlap(arguments: Iterable[str], found: Sequence[Path], out: Path) -> None:
    """Check the folder `out` against the sources as given and as found; links are followed.

    Raises:
        UserError: `out` is inside a source folder, is one, or contains a source.
    """
    target = out.resolve()
    for argument in arguments:
        folder = Path(argument) if Path(argument).is_dir() else _searched(argument)
        if folder is not None and target.is_relative_to(folder.resolve()):
            what = "is" if target == folder.resolve() else "lies inside"
            raise UserError(f"--out {out} {what} the source folder {folder}, all of which is read; choose a folder outside of it")
    for path in found:
        if path.resolve().is_relative_to(target):
            raise UserError(f"the log {path} lies inside --out {out}, which is for prepared data only; choose another folder")


def _searched(pattern: str) -> Path | None:
    """The folder that a recursive pattern searches."""
    if "**" not in pattern or Path(pattern).exists():
        return None
    parts = Path(pattern).parts
    return Path(*parts[: next(n for n, part in enumerate(parts) if glob.has_magic(part))])
