"""Shards -> neighbours, in one pass over the stored training events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ltrec.data.manifest import Manifest
from ltrec.data.neighbours.co_occurrence import CoOccurrence
from ltrec.data.neighbours.config import ContentConfig, CoOccurrenceConfig, NeighboursConfig
from ltrec.data.neighbours.events import training_events
from ltrec.data.neighbours.strongest import Strongest
from ltrec.data.neighbours.sums import ROWS, PairSums
from ltrec.data.neighbours.table import Neighbours
from ltrec.data.neighbours.transitions import Transitions

Config = NeighboursConfig | CoOccurrenceConfig
"""Options of neighbours that are counted in events."""


def count_neighbours(
    folder: Path,
    manifest: Manifest,
    config: Config | None = None,
    *,
    check: str = "hash",
    rows: int = ROWS,
    spill: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> Neighbours:
    """Count the neighbours of every item in the training events of all users.

    The result is a pure function of the data and the options; it does not depend on the machine.

    Args:
        folder: the prepared data set.
        manifest: its manifest.
        config: what is counted; None = transitions, with the defaults.
        check: `hash` or `size`, how a shard is verified when it is first opened.
        rows: number of pairs held in memory; sums of more pairs are spilled to disk (`sums.py` documents both limits).
        spill: a folder for that, in which no files remain; None = the system's temporary folder.
        on_progress: called with the number of blocks read and of all blocks.

    Raises:
        UserError: a shard is missing or damaged.
        OSError: the disk is full.
    """
    config = config or NeighboursConfig()
    counting = _counting(config, manifest.vocab.items)
    with PairSums(manifest.vocab.items, spill, rows) as sums:
        for events in training_events(folder, manifest, counting.least_events, check, on_progress):
            for pairs in counting.pairs(events):
                sums.add(*pairs)
        strongest = Strongest(manifest.vocab.items, config.neighbours)
        for weighted in counting.weighted(sums.portions()):
            strongest.take(*weighted)
    return Neighbours(torch.from_numpy(strongest.item_VN), torch.from_numpy(strongest.weight_VN), made_of(manifest, config))


def _counting(config: Config, num_items: int) -> Transitions | CoOccurrence:
    return Transitions(config, num_items) if isinstance(config, NeighboursConfig) else CoOccurrence(config, num_items)


def made_of(manifest: Manifest, config: Config | ContentConfig) -> dict[str, Any]:
    """What identifies neighbours: the data set and the options, as JSON."""
    options = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}
    if not options.get("ridge"):  # counts are what they were before there were regressions
        options = {name: value for name, value in options.items() if name not in ("ridge", "sources")}
    return {"data": manifest.digest, **options}
