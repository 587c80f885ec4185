"""Entries of the manifest for files beside the shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ltrec.core.storage.atomic import rename_by_hash


def named_entry(path: Path, work: Path) -> dict[str, Any]:
    """Name a finished file in `work` by its hash; return its entry: path, bytes and sha256."""
    final, digest = rename_by_hash(path)
    return {"path": final.relative_to(work).as_posix(), "bytes": final.stat().st_size, "sha256": digest}
