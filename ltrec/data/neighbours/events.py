"""The stored training events, in portions of users; counting reads nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ltrec.core import columns as c
from ltrec.core.ragged import prefix_sums, ragged, ranges_of_at_most
from ltrec.data.manifest import Manifest
from ltrec.data.stream.reading.blocks import I64, blocks_of
from ltrec.data.stream.reading.rows import int_column, list_column
from ltrec.data.stream.reading.shards import ShardReader

_COLUMNS = [c.USER_KEY, c.TRAIN_EVENTS, c.ITEMS, c.TIMES]
_PORTION = 1 << 18


@dataclass(frozen=True, slots=True)
class UserEvents:
    """Training events of R users, oldest first: items and times int64 [E], offsets int64 [R+1], user_key int64 [R]."""

    items: I64
    times: I64
    offsets: I64
    user_key: I64

    def rows(self, low: int, high: int) -> UserEvents:
        """The events of users low:high."""
        first, last = self.offsets[low], self.offsets[high]
        offsets = self.offsets[low : high + 1] - first
        return UserEvents(self.items[first:last], self.times[first:last], offsets, self.user_key[low:high])


def training_events(
    folder: Path, manifest: Manifest, least: int, check: str = "hash", on_progress: Callable[[int, int], None] = lambda *_: None
) -> Iterator[UserEvents]:
    """Portions of users, each with about 2^18 events, or a single user with more.

    Args:
        folder: the prepared data set.
        manifest: its manifest.
        least: 2 = users with at least two training events, 1 = also those with a single one (and a few with none).
        check: `hash` or `size`, how a shard is verified when it is first opened.
        on_progress: called with the number of blocks read and of all blocks.

    Raises:
        UserError: a shard is missing or damaged.
    """
    files = ShardReader(folder, manifest, check)
    blocks = blocks_of(manifest, [n for n, shard in enumerate(manifest.shards) if shard.trainable or least < 2])
    for done, place in enumerate(zip(blocks.shard.tolist(), blocks.group.tolist(), strict=True), 1):
        table = files.read(*place, _COLUMNS)
        if fault := _fault(table, manifest, manifest.shards[place[0]].trainable):
            raise files.damage(*place, fault, "values")
        yield from _portions(_decoded(table))
        on_progress(done, blocks.count)


def _decoded(table: pa.Table) -> UserEvents:
    (items, offsets), (times, _) = list_column(table, c.ITEMS), list_column(table, c.TIMES)
    lengths = int_column(table, c.TRAIN_EVENTS)
    kept = ragged(offsets[:-1], lengths)
    return UserEvents(
        items[kept].astype(np.int64), times[kept].astype(np.int64), prefix_sums(lengths), int_column(table, c.USER_KEY)
    )


def _fault(table: pa.Table, manifest: Manifest, trainable: bool) -> str:
    """A message about a damaged block; empty if it is intact."""
    (items, offsets), (_, times_offsets) = list_column(table, c.ITEMS), list_column(table, c.TIMES)
    lengths = int_column(table, c.TRAIN_EVENTS)
    if items.size and not (items.min() >= 1 and items.max() <= manifest.vocab.items):
        return f"item ids {items.min()}..{items.max()} outside 1..{manifest.vocab.items}"
    if (lengths < 2 * trainable).any() or (lengths > np.diff(offsets)).any():
        return f"train_events below {2 * trainable} or beyond the end of items"
    if not np.array_equal(offsets, times_offsets):
        return "the numbers of times and of items differ"
    return ""


def _portions(events: UserEvents) -> Iterator[UserEvents]:
    yield from (events.rows(low, high) for low, high in ranges_of_at_most(events.offsets, _PORTION))
