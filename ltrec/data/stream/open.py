"""The training stream of a prepared data set, for those who train with a loop of their own."""

from __future__ import annotations

import os
from pathlib import Path

from ltrec.columns.schema import NOTHING_ASKED, Projection
from ltrec.core.world import World
from ltrec.data.manifest import Manifest
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.order.plan import Plan


def open_stream(
    data: str | os.PathLike[str],
    config: StreamConfig | None = None,
    *,
    seed: int = 0,
    world: World | None = None,
    accumulate: int = 1,
    columns: Projection = NOTHING_ASKED,
) -> StreamLoader:
    """Batches of a prepared data set, each a `SequenceBatch` of this process's rows, to the end of an epoch.

    Call `advance` after every optimiser step: that alone moves the state (`state_dict`, `load_state_dict`), so what was read ahead
    and not trained on leaves no trace. The same data, seed and config give the same global batches on any number of processes.

    Args:
        data: the folder that `ltrec.prepare` wrote.
        config: rows, windows and lanes of a batch; None = the defaults.
        seed: of the order and of random windows.
        world: this process among all; None = it is alone.
        accumulate: micro-batches of a step.
        columns: which of the data's columns batches carry.

    Raises:
        UserError: the data are missing or damaged, or the options do not fit them or each other.
    """
    config, folder = config or StreamConfig(), Path(data)
    manifest = Manifest.load(folder)
    return StreamLoader(
        folder,
        manifest,
        Plan.of(manifest, seed, config),
        world=world or World(),
        accumulate=accumulate,
        prefetch=config.prefetch,
        threads=config.threads,
        memory_mib=config.memory_mib,
        check=config.check,
        columns=columns,
    )
