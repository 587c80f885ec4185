"""Order of a pool that fits in memory: the draws 0, 1, 2, ... go through one permutation of all rows after another."""

from __future__ import annotations

import numpy as np

from ltrec.core.hashing import mix, permutation
from ltrec.data.stream.order.draws import ALL_LANES, Buffer, Draws, Pieces
from ltrec.data.stream.order.schedule import Schedule
from ltrec.data.stream.reading.blocks import I64, Blocks
from ltrec.data.stream.reading.lru_cache import LruCache


class ResidentOrder:
    """Draw p of the pool is row `permutation(p // n)[p mod n]` of its n rows."""

    def __init__(self, pool: int, blocks: Blocks, schedule: Schedule, seed: int) -> None:
        self._pool, self._blocks, self._schedule = pool, blocks, schedule
        self._rows = int(blocks.rows.sum())
        self._shuffled: LruCache[int, I64] = LruCache(lambda epoch: permutation(mix(seed, pool, epoch), self._rows), keep=2)

    def draws(self, step: int, lanes: range) -> list[Draws]:
        """A single entry: the draws of neighbouring lanes are consecutive."""
        draws = self._schedule.first_draws(step, self._pool)[lanes.start : lanes.stop + 1]
        slots = self._schedule.first_slots(step, self._pool, lanes) - (draws[:-1] - draws[0])
        slots = np.repeat(slots, np.diff(draws)) + np.arange(draws[-1] - draws[0])
        return [Draws(Buffer(self._pool, ALL_LANES, 0, 0), self._draw(int(draws[0]), int(draws[-1])), slots)]

    def pieces(self, buffer: Buffer) -> Pieces:
        """All blocks, whole."""
        assert buffer.lane == ALL_LANES
        return Pieces(self._blocks, np.zeros_like(self._blocks.rows), self._blocks.rows)

    def _draw(self, first: int, stop: int) -> I64:
        parts = [np.zeros(0, np.int64)]
        while first < stop:
            epoch, within = divmod(first, self._rows)
            parts.append(self._shuffled(epoch)[within : within + stop - first])
            first += parts[-1].size
        return np.concatenate(parts)
