"""Shards -> neighbours: one pass over the stored training events, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from ltrec.core import columns as c
from ltrec.data.manifest import Manifest
from ltrec.data.neighbours.config import NeighboursConfig
from ltrec.data.neighbours.pairs import Events, TransitionPairs
from ltrec.data.neighbours.sums import PairSums
from ltrec.data.neighbours.table import Neighbours
from ltrec.data.neighbours.ties import I64, ONE
from ltrec.data.stream.blocks import blocks_of, prefix_sums
from ltrec.data.stream.rows import int_column, list_column, ragged
from ltrec.data.stream.shards import ShardFiles

_COLUMNS = [c.USER_KEY, c.TRAIN_EVENTS, c.ITEMS, c.TIMES]


def count_neighbours(
    folder: Path,
    manifest: Manifest,
    config: NeighboursConfig | None = None,
    *,
    check: str = "hash",
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> Neighbours:
    """Count which items follow which in the training events of everybody that training may learn from.

    The result is a pure function of the data and the options, whatever the machine has to offer.

    Args:
        folder: the prepared data set.
        manifest: its manifest.
        config: what is counted; None = the defaults.
        check: `hash` or `size`, how a shard is checked when it is first opened.
        on_progress: hears blocks read and blocks in all.

    Raises:
        UserError: a shard is missing or damaged.
    """
    config = config or NeighboursConfig()
    sums, pairs_of = PairSums(manifest.vocab.items), TransitionPairs(config)
    for events in _training_events(folder, manifest, check, on_progress):
        for pairs in pairs_of(events):
            sums.add(*pairs)
    item_VN, weight_VN = _strongest(*sums.total(), manifest.vocab.items, config)
    return Neighbours(torch.from_numpy(item_VN), torch.from_numpy(weight_VN), {"data": manifest.digest, **asdict(config)})


def _training_events(folder: Path, manifest: Manifest, check: str, on_progress: Callable[[int, int], None]) -> Iterator[Events]:
    """Block by block, of the users with at least two training events; the others have no pairs."""
    files = ShardFiles(folder, manifest, check)
    blocks = blocks_of(manifest, [number for number, shard in enumerate(manifest.shards) if shard.trainable])
    for done, place in enumerate(zip(blocks.shard.tolist(), blocks.group.tolist(), strict=True), 1):
        table = files.read(*place, _COLUMNS)
        (items, offsets), (times, _) = list_column(table, c.ITEMS), list_column(table, c.TIMES)
        lengths = int_column(table, c.TRAIN_EVENTS)
        if items.size and not (items.min() >= 1 and items.max() <= manifest.vocab.items):
            raise files.fault(*place, f"item ids {items.min()}..{items.max()} outside 1..{manifest.vocab.items}")
        if (lengths < 2).any() or (lengths > np.diff(offsets)).any() or times.size != items.size:
            raise files.fault(*place, "train_events below 2 or beyond the end of items")
        kept = ragged(offsets[:-1], lengths)
        yield Events(
            items[kept].astype(np.int64), times[kept].astype(np.int64), prefix_sums(lengths), int_column(table, c.USER_KEY)
        )
        on_progress(done, blocks.count)


def _strongest(item: I64, neighbour: I64, total: I64, num_items: int, config: NeighboursConfig) -> tuple[np.ndarray, np.ndarray]:
    """The neighbours of largest weight of every item: ids int32 and weights float32 [V+1, N]."""
    row_sum, column_sum = (np.zeros(num_items + 1, np.int64) for _ in range(2))
    np.add.at(row_sum, item, total)
    np.add.at(column_sum, neighbour, total)
    scale = (row_sum[item] / ONE) ** config.row_power * (column_sum[neighbour] / ONE) ** config.column_power
    weight = (total / ONE / scale).astype(np.float32)
    order = np.lexsort((neighbour, -weight, item))
    item, neighbour, weight = item[order], neighbour[order], weight[order]
    first = np.searchsorted(item, np.arange(num_items + 2))
    place = np.arange(item.size) - first[item]
    kept = place < config.neighbours
    item_VN = np.zeros((num_items + 1, config.neighbours), np.int32)
    weight_VN = np.zeros((num_items + 1, config.neighbours), np.float32)
    item_VN[item[kept], place[kept]] = neighbour[kept]
    weight_VN[item[kept], place[kept]] = weight[kept]
    return item_VN, weight_VN
