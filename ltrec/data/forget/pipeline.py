"""Forget users: the steps, and the manifest of what remains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from ltrec.core.errors import UserError
from ltrec.core.progress import Progress, silent
from ltrec.data.forget import tables
from ltrec.data.forget.removed import Removed
from ltrec.data.forget.result import Forgotten
from ltrec.data.forget.shards import ShardsWithout
from ltrec.data.forget.users import Mentions
from ltrec.data.manifest import Layer, Manifest, Shard, version_of
from ltrec.data.prepare.output.disk import explain_exhaustion
from ltrec.data.prepare.output.workspace import publish, workspace


def forget(folder: Path, ids: pa.Array, on_progress: Progress = silent) -> Forgotten:
    """Remove users from the data set in a folder. Killed at any moment it leaves the old data set or the new one, and repeated it
    gives the same bytes.

    Args:
        folder: the data set.
        ids: raw ids, each once.
        on_progress: hears how many shards are done.

    Raises:
        UserError: there is no data set, it is being written or is damaged, nobody would be left, or the disk is full.
    """
    before = Manifest.load(folder)
    with explain_exhaustion(folder), workspace(folder) as work:
        removed = Removed(folder, before)
        shards, layers = ShardsWithout(folder, before, ids, work).write(removed, on_progress)
        if not any(shard.trainable for shard in shards):
            raise UserError(
                f"nobody who can be trained on would be left in {folder}; nothing was written; remove the data set instead"
            )
        rejects = tables.without_rejects(folder, before, Mentions(ids))
        unknown = len(ids) - len(set(removed.ids))
        if shards == before.shards and not rejects:
            return Forgotten(before, before, 0, 0, unknown)
        manifest = _manifest(folder, before, removed, shards, layers, rejects, work)
        publish(work, folder, manifest, kept=before.files().keys())
    return Forgotten(manifest, before, removed.users, removed.events, unknown)


def _manifest(
    folder: Path,
    before: Manifest,
    removed: Removed,
    shards: tuple[Shard, ...],
    layers: tuple[Layer, ...],
    rejects: dict[str, Any],
    work: Path,
) -> Manifest:
    """Write all files but shards into `work`; the manifest of the rest."""
    vocab, lost = tables.item_vocabulary(folder, before, removed, work)
    columns, column_files = tables.column_files(folder, before, removed, lost, work)
    summary = {**removed.summary(), **rejects}
    if removed.users and (reach := tables.reach(folder, before, removed, work)) is not None:
        summary["reach"] = reach
    step = {"digest": before.digest, "items": before.vocab.items, "files": len(before.source["files"])}
    step |= {"forgotten_users": removed.users, "forgotten_events": removed.events}
    return replace(
        before,
        source={**before.source, "lineage": [*before.lineage, step]},
        summary=summary,
        strata=removed.strata(),
        vocab=vocab,
        shards=shards,
        layers=layers,
        format_version=version_of(columns, layers),
        columns=columns,
        column_files=column_files,
    )
