"""Config and code of a run that starts later, saved in its folder: it is not affected by later edits.

runs/<name>/config.yaml        the resolved config
runs/<name>/code/<digest>/     the package, if it is in a checkout
runs/<name>/launch/            how it was started, and its output
"""

from __future__ import annotations

from collections.abc import Sequence

from ltrec.config.tree import RunConfig
from ltrec.run.folder.code_snapshot import is_editable, snapshot
from ltrec.run.folder.config_file import folder_of, write_config
from ltrec.run.folder.find_run import find_run


def save_snapshots(runs: Sequence[RunConfig]) -> str:
    """Write config and code to the folder of every run; returns the folder of the code inside each, empty for an installed package.

    Raises:
        UserError: a folder holds another run; nothing is written then.
    """
    for config in runs:
        find_run(config)
    folders = [folder_of(config) for config in runs]
    code = {snapshot(run.code).name for run in folders} if is_editable() else set()
    for config, run in zip(runs, folders, strict=True):
        write_config(run, config)
    return "".join(str(run.code.relative_to(run.path) / name) for name in code)
