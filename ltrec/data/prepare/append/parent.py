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
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.users.splits import is_share
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


def refuse_recut(config: PrepareConfig, folder: Path) -> None:
    """Refuse thresholds that are cut anew where shares of time would move with them.

    Raises:
        UserError: the cuts of time are shares of the events.
    """
    if config.split == "global_time" and (share := next(filter(is_share, (config.valid_from, config.test_from)), "")):
        raise UserError(
            f"--recut would move the cuts of time of {folder}, a share of the events ({share}), and with them every user; "
            f"name all logs with --like {folder} --recut"
        )


def _refuse_unsupported(folder: Path, manifest: Manifest) -> None:
    options, rule = manifest.options, manifest.summary.get("duplicate_rule", "")
    way_out = f"name all logs with --like {folder}, which keeps its ids and thresholds"
    if minimum := next((key for key in ("min_user_events", "min_item_events") if options.get(key, 1) > 1), ""):
        raise UserError(
            f"cannot append to {folder}: it was prepared with {minimum}={options[minimum]}, and what that dropped may reach it "
            f"with the new events, but is not in it; {way_out}"
        )
    whole = {
        "targets, whose positions": bool(manifest.targets),
        "split=global_time, whose positions": manifest.split["kind"] == "global_time",
        f"duplicates={rule}, which": rule.startswith("keep_"),
    }
    if manifest.summary["capped_users"] and (what := next((text for text, holds in whole.items() if holds), "")):
        cap = options["history_cap"]
        raise UserError(
            f"cannot append to {folder}: it has {what} need whole histories, and history_cap={cap} removed events; {way_out}"
        )
