"""The data set that is appended to: found, locked against writers, and checked to the last byte."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.progress import Progress
from ltrec.data.manifest import Manifest
from ltrec.data.verify.files import check_files


@dataclass(frozen=True, slots=True)
class Parent:
    """A prepared data set, and its folder."""

    folder: Path
    manifest: Manifest


@contextmanager
def open_parent(folder: Path, out: Path) -> Iterator[Parent]:
    """The data set, which nobody writes to as long as the context is open. Its files are not checked yet.

    Raises:
        UserError: there is none, it is `out` or lies in it, it is being written, or append does not support it.
    """
    manifest = Manifest.load(folder)
    if (same := folder.resolve() == out.resolve()) or folder.resolve().is_relative_to(out.resolve()):
        raise UserError(f"--out {out} {'is' if same else 'holds'} the data set that is appended to; choose another folder")
    if out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"--out {out} lies inside the data set that is appended to; choose another folder")
    _refuse_unsupported(folder, manifest)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise UserError(f"another ltrec prepare is writing {folder}; wait for it, then append") from None
    try:
        yield Parent(folder, manifest)
    finally:
        os.close(lock)


def check_parent(parent: Parent, on_progress: Progress) -> None:
    """Compare every file with the manifest.

    Raises:
        UserError: one is missing or damaged, or there are others.
    """
    check_files(parent.folder, parent.manifest, on_progress)


_WITH_CAP = "its history cap removed events"


def _refuse_unsupported(folder: Path, manifest: Manifest) -> None:
    options, rule = manifest.options, manifest.summary.get("duplicate_rule", "")
    minimum = next((key for key in ("min_user_events", "min_item_events") if options.get(key, 1) > 1), "")
    faults = {
        f"{_WITH_CAP}, so that positions among targets are not known": bool(manifest.targets and manifest.summary["capped_users"]),
        f"it has split={manifest.split['kind']}, whose cuts would have to move": manifest.split["kind"] != "leave_one_out",
        f"it was prepared with {minimum}={options.get(minimum)}, and what that dropped is not in it": bool(minimum),
        f"it was prepared with duplicates={rule}, which looks at all events of a user and item": rule.startswith("keep_"),
        "its times are the order of rows, which starts anew in every log": manifest.source["time_unit"] == "order",
    }
    if fault := next((text for text, holds in faults.items() if holds), ""):
        raise UserError(f"cannot append to {folder}: {fault}; prepare all events anew")
