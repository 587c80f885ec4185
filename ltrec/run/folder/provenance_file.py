"""provenance.json of a run folder: data, code, machine, other runs. The run's identity is kept when it is resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from ltrec.core.errors import UserError, first_line
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.core.storage.run_folder import RunFolder
from ltrec.core.storage.seal import opened, sealed


def read_provenance(run: RunFolder) -> dict[str, Any]:
    """The provenance of a run.

    Raises:
        UserError: provenance.json is missing or damaged.
    """
    try:
        found = opened(run.provenance.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{run.provenance} is missing") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{run.provenance} is damaged: {first_line(error)}") from None
    if not isinstance(found.get("run_id"), str):
        raise UserError(f"{run.provenance} is damaged: it holds no run_id")
    return found


def write_provenance(run: RunFolder, provenance: Mapping[str, Any]) -> None:
    """Write provenance.json, with a digest of its contents."""
    atomic_write_text(run.provenance, json.dumps(sealed(dict(provenance)), indent=2) + "\n")


def run_id(run: RunFolder) -> str:
    """Random identity of the run, which is kept when it is resumed.

    Raises:
        UserError: provenance.json is missing or damaged.
    """
    return str(read_provenance(run)["run_id"])


def data_digest(run: RunFolder) -> str | None:
    """Digest of the manifest of the training data; None if unknown."""
    try:
        digest = read_provenance(run)["data"]["digest"]
    except (UserError, KeyError, TypeError):
        return None
    return digest if isinstance(digest, str) else None


def set_damaged_provenance_aside(run: RunFolder, say: Callable[[str], None]) -> None:
    """Rename a damaged provenance.json of a resumed run, so that a new one is written; an intact one is kept.

    The new one has the same identity, which is stored in the checkpoint.

    Args:
        run: its folder.
        say: called with one line about it.
    """
    if not run.provenance.exists():
        return
    try:
        read_provenance(run)
    except UserError as error:
        os.replace(run.provenance, run.damaged_provenance)
        say(f"{error}; it is kept as {run.damaged_provenance.name}, and a new one is written")
