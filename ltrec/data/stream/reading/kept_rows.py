"""Kept rows: all that a process's lanes read of a streamed pool, where their buffers would take as much memory.

The order is that of the lanes: their buffers are lists of places in these rows. Every block is read once, and not again in the
next epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from threading import Lock

import numpy as np

from ltrec.core.ragged import ragged
from ltrec.data.stream.order.draws import Buffer
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.reading.blocks import I64, Blocks
from ltrec.data.stream.reading.lru_cache import LruCache
from ltrec.data.stream.reading.rows import UserRows

_BUFFERS = 2  # of each lane, whose places are remembered


class KeptRows:
    """The rows of a pool that these lanes read.

    Args:
        plan: the order.
        pool: number of the pool.
        lanes: of the process.
        read: reads the rows of blocks.
    """

    def __init__(self, plan: Plan, pool: int, lanes: range, read: Callable[[Blocks], UserRows]) -> None:
        self._plan, self._read, self._lock = plan, read, Lock()
        numbers = plan.blocks_of(pool, lanes)
        self._blocks = plan.pools[pool].blocks.take(np.arange(numbers.start, numbers.stop))
        starts = zip(self._blocks.shard.tolist(), self._blocks.group.tolist(), self._blocks.starts.tolist(), strict=False)
        self._start_of = {(shard, group): start for shard, group, start in starts}
        self.places: LruCache[Buffer, I64 | None] = LruCache(self._places, keep=_BUFFERS, group=lambda buffer: buffer.lane)

    @cached_property
    def rows(self) -> UserRows:
        """All of them, in the order of the plan's blocks."""
        return self._read(self._blocks)

    def _places(self, buffer: Buffer) -> I64 | None:
        """Where in `rows` a buffer's rows are, in the order of drawing; None if a block of it is not among them."""
        pieces, order = self._plan.pieces(buffer), self._plan.shuffled(buffer)
        found = [self._start_of.get(pair) for pair in zip(pieces.blocks.shard.tolist(), pieces.blocks.group.tolist(), strict=True)]
        if order is None or None in found:
            return None
        with self._lock:
            _ = self.rows
        return ragged(np.array(found, np.int64) + pieces.low, pieces.high - pieces.low)[order]
