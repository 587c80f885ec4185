"""The training stream of a prepared data set, for training loops of your own."""

from __future__ import annotations

import os

from ltrec.columns.schema import ITEMS_ONLY, Projection
from ltrec.core.world import World
from ltrec.data.remote.folder import manifest_of, open_folder
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.quarantine.quarantine import Quarantine


def open_stream(
    data: str | os.PathLike[str],
    config: StreamConfig | None = None,
    *,
    seed: int = 0,
    world: World | None = None,
    accumulate: int = 1,
    columns: Projection = ITEMS_ONLY,
) -> StreamLoader:
    """A loader of `SequenceBatch`es, each with this process's rows; iterating goes to the end of the epoch.

    Call `advance` after every optimiser step: only that moves the state (`state_dict`, `load_state_dict`), so batches that were
    prefetched and not trained on do not count. The same data, seed and config give the same global batches on any number of
    processes.

    Args:
        data: the folder that `ltrec.prepare` wrote, or its address.
        config: rows, windows and lanes of a batch; None = the defaults.
        seed: of the order and of random windows.
        world: rank of this process and number of processes; None = a single process.
        accumulate: micro-batches per step.
        columns: which of the data's columns batches carry.

    Raises:
        UserError: the data set is missing or damaged, or the options contradict it or each other.
    """
    config, folder = config or StreamConfig(), open_folder(data)
    manifest = manifest_of(folder)
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
        quarantine=None if config.on_damage == "fail" else Quarantine(manifest, config.damage_budget),
    )
