"""Order of a pool that fits in memory: the draws 0, 1, 2, ... go through one permutation of all rows after another."""

from __future__ import annotations

import numpy as np

from ltrec.core.hashing import mix, permutation
from ltrec.core.ragged import ragged
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

    def draws(self, steps: range, lanes: range) -> list[Draws]:
        """An entry per epoch, most often a single one: in a step, the draws of neighbouring lanes are consecutive."""
        numbers = np.arange(steps.start, steps.stop)
        bounds = self._schedule.first_draws(numbers, self._pool)[:, lanes.start : lanes.stop + 1]
        slots = ragged(self._schedule.first_slots(numbers, self._pool, lanes).ravel(), np.diff(bounds).ravel())
        counts = bounds[:, -1] - bounds[:, 0]
        draws, step = ragged(bounds[:, 0], counts), np.repeat(numbers - steps.start, counts)
        buffer, first, done = Buffer(self._pool, ALL_LANES, 0, 0), int(bounds[0, 0]), 0
        found: list[Draws] = []
        while done < slots.size or not found:
            epoch = (int(draws[done]) if done < slots.size else first) // self._rows
            stop = int(np.searchsorted(draws, (epoch + 1) * self._rows))
            rows = self._shuffled(epoch)[draws[done:stop] - epoch * self._rows]
            found.append(Draws(buffer, rows, slots[done:stop], epoch, step[done:stop]))
            done = stop
        return found

    def buffers(self, step: int, lanes: range) -> list[Buffer]:  # noqa: ARG002 - the same for all
        """All of the pool is one."""
        return [Buffer(self._pool, ALL_LANES, 0, 0)]

    def shuffled(self, buffer: Buffer) -> None:
        """There is none."""

    def pieces(self, buffer: Buffer) -> Pieces:
        """All blocks, whole."""
        assert buffer.lane == ALL_LANES
        return Pieces(self._blocks, np.zeros_like(self._blocks.rows), self._blocks.rows)
