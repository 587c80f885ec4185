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
        """An entry per epoch, most often a single one: the draws of neighbouring lanes are consecutive."""
        draws = self._schedule.first_draws(step, self._pool)[lanes.start : lanes.stop + 1]
        slots = self._schedule.first_slots(step, self._pool, lanes) - (draws[:-1] - draws[0])
        slots = np.repeat(slots, np.diff(draws)) + np.arange(draws[-1] - draws[0])
        found: list[Draws] = []
        buffer, first, done = Buffer(self._pool, ALL_LANES, 0, 0), int(draws[0]), 0
        while done < slots.size or not found:
            epoch, within = divmod(first + done, self._rows)
            rows = self._shuffled(epoch)[within : within + slots.size - done]
            found.append(Draws(buffer, rows, slots[done : done + rows.size], epoch))
            done += rows.size
        return found

    def pieces(self, buffer: Buffer) -> Pieces:
        """All blocks, whole."""
        assert buffer.lane == ALL_LANES
        return Pieces(self._blocks, np.zeros_like(self._blocks.rows), self._blocks.rows)
