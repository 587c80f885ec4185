"""Prepare a run folder for training: write config and provenance, and remove what an attempt without a checkpoint left."""

from __future__ import annotations

from typing import Any

from ltrec.config.tree import RunConfig
from ltrec.core.storage.run_folder import ASIDE, BEST, LAST, PREVIOUS, STAGE1, RunFolder
from ltrec.core.storage.versions import remove_versions
from ltrec.run.folder.config_file import write_config
from ltrec.run.folder.provenance_file import write_provenance


def begin_run(run: RunFolder, config: RunConfig, provenance: dict[str, Any], *, fresh: bool, disposable: bool = False) -> None:
    """Create or reopen the folder, on rank 0 only. A fresh run removes what an earlier attempt left.

    Args:
        run: the folder, which is known to belong to this run.
        config: the resolved run.
        provenance: its origin.
        fresh: it starts at step 0.
        disposable: a smoke test, which may be removed.
    """
    if disposable:
        run.path.mkdir(parents=True, exist_ok=True)
        run.disposable.touch()
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    for torn in run.torn_files():
        torn.unlink()
    write_config(run, config)
    if fresh:
        run.metrics.unlink(missing_ok=True)
        for name in (LAST, PREVIOUS, ASIDE, BEST, STAGE1):
            remove_versions(run.checkpoints / name)
    if fresh or not run.provenance.exists():
        write_provenance(run, provenance)
