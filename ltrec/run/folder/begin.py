"""Open a run folder for training: say whose it is, and forget what an attempt left that did not come to a checkpoint."""

from __future__ import annotations

from typing import Any

from ltrec.config.tree import RunConfig
from ltrec.core.storage.run_folder import ASIDE, BEST, LAST, PREVIOUS, STAGE1, RunFolder
from ltrec.core.storage.versions import remove_versions
from ltrec.run.folder.config_file import write_config
from ltrec.run.folder.provenance_file import write_provenance


def begin_run(run: RunFolder, config: RunConfig, provenance: dict[str, Any], *, fresh: bool, disposable: bool = False) -> None:
    """Make or reopen the folder; rank 0 alone does this. A fresh run removes what an attempt before it left.

    Args:
        run: the folder, which is known to be this run's.
        config: the resolved run.
        provenance: where it comes from.
        fresh: it begins at step 0.
        disposable: nobody will miss it.
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
