"""`ltrec.train`: train a run, alone or as one process of several; called again after an interruption, it resumes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ltrec.api.load_config import settled
from ltrec.api.results.run import Run
from ltrec.api.session import session
from ltrec.api.settings import Setting
from ltrec.run.train import train as train_run


def train(
    *settings: Setting,
    data: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    profile: int = 0,
    progress: bool = False,
    **overrides: Any,
) -> Run:
    """Train a run to its end; resume it if its folder has a checkpoint. A finished run is returned unchanged.

        ltrec.train("conf/experiment/quickstart.yaml", {"optim.lr": 1e-3}, data="data/mine", name="mine")

    Args:
        settings: config files, left to right, and mappings of settings with dotted or nested keys, which win.
        data: the prepared data set: `data.path`.
        profile: record so many steps, after a few, as a trace in the run folder.
        progress: show what the command line shows.
        overrides: settings by section: name="mine", seed=1, optim={"lr": 1e-3}; they win over all others.

    Raises:
        UserError: anything the caller can mend: a setting, missing data, another run in the folder, ...
        Stopped: training was interrupted (Ctrl-C, a notebook's stop button) and saved; repeat the call to resume.
    """
    with session(progress=progress) as call:
        config = settled(*settings, data=data, where=call.where, **overrides)
        return Run(train_run(config, profile=profile).path, config)
