"""A run's own config.yaml as a config of `ltrec train` or `ltrec launch` refers to that run and its data, from any working folder.

`ltrec train /elsewhere/runs/mine/config.yaml` continues that run and starts none in ./runs/mine. With seeds or a sweep
the new runs are created beside it; with `name=...` or `out=...` a new one is created here. All use the same data.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ltrec.config.load import load
from ltrec.config.tree import RunConfig
from ltrec.core.storage.remote.url import is_url
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.folder.config_file import base_folder, recorded_base
from ltrec.run.folder.find_data import find_data


def in_place(config: RunConfig, files: Sequence[str], overrides: Sequence[str], *, data_must_be_here: bool = True) -> RunConfig:
    """The config, with the folder and the data of the run if the last file is the config.yaml of one.

    Args:
        config: as loaded.
        files: config files.
        overrides: `key=value` overrides, which override the run's own folder and data.
        data_must_be_here: refuse data that cannot be found; else keep their path, which may be valid on another machine.

    Raises:
        UserError: the data are missing, or another data set is in their place.
    """
    file = Path(files[-1]).absolute() if files else Path("nothing")
    run, given = RunFolder(file.parent), {override.partition("=")[0] for override in overrides}
    if file != run.config or recorded_base(run) is None:
        return config
    if file.parent.name == config.name and not given & {"out", "name"}:
        here = Path(config.out, config.name)
        config = config if here.absolute() == run.path or os.path.exists(here) else replace(config, out=str(run.path.parent))
    written = config.data.path
    if "data.path" in given or not written or written != load([file], []).data.path:
        return config
    if is_url(written):
        return config
    at = base_folder(run) / written
    path = find_data(run, config) if data_must_be_here or at.exists() or os.path.exists(written) else str(at)
    return replace(config, data=replace(config.data, path=path))
