"""Config and code of a run that starts later, saved in its folder: it trains what was submitted, not what was edited since.

runs/<name>/config.yaml        the resolved config
runs/<name>/code/<digest>/     the package, when it lies in a checkout
runs/<name>/launch/            how it was started, and what it said
"""

from __future__ import annotations

from collections.abc import Sequence

from ltrec.config.tree import RunConfig
from ltrec.run.folder.code_snapshot import is_editable, snapshot
from ltrec.run.folder.config_file import folder_of, write_config
from ltrec.run.folder.find_run import find_run


def keep(runs: Sequence[RunConfig]) -> str:
    """Write config and code into the folder of every run; returns the code's folder inside each, empty for an installed package.

    Raises:
        UserError: a folder holds another run; before anything is written.
    """
    for config in runs:
        find_run(config)
    folders = [folder_of(config) for config in runs]
    code = {snapshot(run.code).name for run in folders} if is_editable() else set()
    for config, run in zip(runs, folders, strict=True):
        write_config(run, config)
    return "".join(str(run.code.relative_to(run.path) / name) for name in code)
