"""What a run that starts later is told, kept in its folder: it trains what was asked for, not what was typed since.

runs/<name>/config.yaml        the resolved config
runs/<name>/code/<digest>/     the package, when it lies in a checkout
runs/<name>/launch/            how it was started, and what it said
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ltrec.config.tree import RunConfig
from ltrec.run.folder.code_snapshot import is_editable, snapshot
from ltrec.run.folder.find_run import find_run
from ltrec.run.folder.run_folder import folder_of

LOG = "train.log"
"""In the launch folder: what training says, over all attempts."""


def keep(runs: Sequence[RunConfig]) -> str:
    """Write config and code into the folder of every run; returns the code's folder inside each, empty for an installed package.

    Raises:
        UserError: a folder holds another run; before anything is written.
    """
    for config in runs:
        find_run(config)
    folders = [folder_of(config) for config in runs]
    code = {snapshot(run.path / "code").name for run in folders} if is_editable() else set()
    for config, run in zip(runs, folders, strict=True):
        run.write_config(config)
    return "".join(f"code/{name}" for name in code)


def launch_folder(run: Path) -> Path:
    """Where a run keeps how it was started."""
    return run / "launch"
