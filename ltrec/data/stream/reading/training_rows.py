"""Training rows: the decoded and checked rows of a buffer.

Only training events are kept: with window=last the final max_len + 1 of each user, with window=random all of them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from ltrec.core import columns as c
from ltrec.core.hashing import mix, mix_array
from ltrec.core.ragged import prefix_sums, ragged
from ltrec.data.manifest import Manifest
from ltrec.data.stream.order.draws import Buffer
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.reading.blocks import I64
from ltrec.data.stream.reading.lru_cache import LruCache
from ltrec.data.stream.reading.projected import NO_COLUMNS, Projected
from ltrec.data.stream.reading.rows import UserRows, int_column, key_columns, list_column, taken
from ltrec.data.stream.reading.shards import ShardReader

COLUMNS = [c.USER_KEY, c.STRATUM, c.TRAIN_EVENTS, c.ITEMS]
_BUFFERS_KEPT = 2  # per lane: the one in use and the next


class TrainingRows:
    """The rows of every buffer of the plan; the two most recent buffers of each lane stay in memory."""

    def __init__(self, folder: Path, manifest: Manifest, plan: Plan, check: str = "hash", columns: Projected = NO_COLUMNS) -> None:
        self._files = ShardReader(folder, manifest, check)
        self._manifest, self._plan, self._columns = manifest, plan, columns
        self.of: LruCache[Buffer, UserRows] = LruCache(
            self._decode, keep=_BUFFERS_KEPT, group=lambda buffer: (buffer.pool, buffer.lane)
        )

    @property
    def downloads(self) -> int:
        """Shards to get at the same time ahead of their use; 0 = they are here."""
        return self._files.downloads

    def get(self, shard: int) -> None:
        """Have a shard on this node before its rows are read."""
        self._files.get(shard)

    def shards_of(self, buffer: Buffer) -> list[int]:
        """The shards of a buffer's rows, in the order in which they are read."""
        return list(dict.fromkeys(self._plan.pieces(buffer).blocks.shard.tolist()))

    def _decode(self, buffer: Buffer) -> UserRows:
        pieces = self._plan.pieces(buffer)
        every = zip(
            pieces.blocks.shard.tolist(), pieces.blocks.group.tolist(), pieces.low.tolist(), pieces.high.tolist(), strict=True
        )
        return UserRows.concatenate([self.block(shard, group).slice(low, high) for shard, group, low, high in every])

    def block(self, shard: int, group: int) -> UserRows:
        """The rows of one row group, read again."""
        table = self._files.read(shard, group, [*COLUMNS, *self._columns.names])
        values, offsets = list_column(table, c.ITEMS)
        train_events = int_column(table, c.TRAIN_EVENTS)
        damage = _damage_in(table, values, offsets, train_events, self._manifest, shard)
        if damage:
            raise self._files.damage(shard, group, damage)
        try:
            events, users = self._columns.decode(table, offsets)
        except ValueError as error:
            raise self._files.damage(shard, group, str(error)) from None
        longest = self._plan.max_len + 1 if self._plan.window == "last" else np.iinfo(np.int64).max
        lengths = np.minimum(train_events, longest)
        kept = taken({c.ITEMS: values, **events}, ragged(offsets[:-1] + train_events - lengths, lengths))
        return UserRows(prefix_sums(lengths), kept, {**key_columns(table), **users})


def _damage_in(table: pa.Table, values: np.ndarray, offsets: I64, train_events: I64, manifest: Manifest, shard: int) -> str:
    """What is wrong with a decoded block; empty if nothing is."""
    if values.size and not (values.min() >= 1 and values.max() <= manifest.vocab.items):
        return f"item ids {values.min()}..{values.max()} outside 1..{manifest.vocab.items}"
    if (int_column(table, c.STRATUM) != manifest.shards[shard].stratum).any():
        return f"rows of another stratum than {manifest.shards[shard].stratum}"
    lengths = np.diff(offsets)
    if (train_events < 2).any() or (train_events > lengths).any():
        return "train_events below 2 or beyond the end of items"
    return ""


def window_starts(events: I64, user_key: I64, *, max_len: int, kind: str, seed: int, step: int) -> I64:
    """Where each row's training window of at most max_len + 1 events begins [B].

    Args:
        events: training events in memory per row [B].
        user_key: [B].
        max_len: L.
        kind: `last`, or `random`: uniform over the possible starts, a function of (seed, step, user_key).
        seed: of the order.
        step: the step of the rows.
    """
    latest = np.maximum(events - (max_len + 1), 0)
    if kind == "last":
        return latest
    return (mix_array(mix(seed, step), user_key) % (latest + 1).astype(np.uint64)).astype(np.int64)
