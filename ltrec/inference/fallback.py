"""Recommendations for users without any known item: the most popular items of the least active users."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ltrec.core import columns as c
from ltrec.core.ragged import ragged
from ltrec.data.manifest import Manifest
from ltrec.data.stream.reading.blocks import blocks_of
from ltrec.data.stream.reading.rows import int_column, list_column
from ltrec.data.stream.reading.shards import ShardReader


def popularity_of_stratum(folder: Path, manifest: Manifest, stratum: int = 0) -> Tensor:
    """Training events of every item by the users of one stratum, float64 [V+1]. Ids fall with the count over all users, so equal
    counts, ordered by id, are ordered by that.

    Raises:
        UserError: a shard is missing or damaged.
    """
    files = ShardReader(folder, manifest)
    blocks = blocks_of(manifest, [number for number, shard in enumerate(manifest.shards) if shard.stratum == stratum])
    count_V = np.zeros(manifest.vocab.items + 1, np.int64)
    for place in zip(blocks.shard.tolist(), blocks.group.tolist(), strict=True):
        table = files.read(*place, [c.TRAIN_EVENTS, c.ITEMS])
        items, offsets = list_column(table, c.ITEMS)
        count_V += np.bincount(items[ragged(offsets[:-1], int_column(table, c.TRAIN_EVENTS))], minlength=count_V.size)
    return torch.from_numpy(count_V).double()
