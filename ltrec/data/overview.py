"""What a prepared data set holds beyond its manifest, without reading a shard: how popular items are, and how large shards are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.columns import NO_STRATUM
from ltrec.core.errors import UserError, first_line
from ltrec.core.inequality import gini
from ltrec.data.manifest import MEND, Manifest, Shard

SHARES = (0.01, 0.1, 0.2, 0.5)
"""The most popular items, as shares of all."""


@dataclass(frozen=True, slots=True)
class Popularity:
    """Training events per item.

    Attributes:
        items: number of items.
        untrained: items without training events.
        largest, median: events of the most popular item, and of the one in the middle.
        gini: 0 = all items are equally popular, 1 = one item has all events.
        top: share of the items -> their share of the training events, the most popular first.
    """

    items: int
    untrained: int
    largest: int
    median: int
    gini: float
    top: dict[float, float]


@dataclass(frozen=True, slots=True)
class ShardSizes:
    """Shards of a stratum, -1 = of users without training events: their number, users, events, bytes, and the largest's bytes."""

    stratum: int
    shards: int
    users: int
    events: int
    bytes: int
    largest: int


def item_counts(folder: Path, manifest: Manifest) -> npt.NDArray[np.int64]:
    """Training events of every item [V], the most popular first.

    Raises:
        UserError: the vocabulary is missing or damaged.
    """
    path = folder / manifest.vocab.path
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            return -np.sort(-file.read([c.TRAIN_COUNT], use_threads=False)[c.TRAIN_COUNT].to_numpy())
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is missing or damaged ({first_line(error)}); {MEND}") from None


def popularity(count_V: npt.NDArray[np.int64]) -> Popularity:
    """How training events are spread over items; `count_V` falls."""
    items, total = len(count_V), max(1, int(count_V.sum()))
    inequality = gini(count_V) if count_V.any() else 0.0
    top = {share: float(count_V[: max(1, round(share * items))].sum() / total) for share in SHARES}
    return Popularity(items, int((count_V == 0).sum()), int(count_V[0]), int(count_V[(items - 1) // 2]), inequality, top)


def shard_sizes(manifest: Manifest) -> list[ShardSizes]:
    """Sizes by stratum, users without training events last."""
    found = []
    for stratum in (*range(manifest.strata.count), NO_STRATUM):
        if own := [shard for shard in manifest.shards if shard.stratum == stratum]:
            rows, events, sizes = zip(*((shard.rows, shard.events, _bytes(shard, manifest)) for shard in own), strict=True)
            found.append(ShardSizes(stratum, len(own), sum(rows), sum(events), sum(sizes), max(sizes)))
    return found


def _bytes(shard: Shard, manifest: Manifest) -> int:
    """Bytes of a shard with its layers."""
    return shard.bytes + sum(manifest.layers[number].bytes for number in shard.layers)
