"""The schedule: how many rows of each pool every lane contributes to every step, in closed form for any step.

Label the G rows of a step pool by pool (q_0 zeros, q_1 ones, ...), and assign label j of step t to lane (j + t) mod V:

    V = 4, quotas (5, 3)   labels      0 0 0 0 0 1 1 1
                           t = 0 lane  0 1 2 3 0 1 2 3
                           t = 1 lane  1 2 3 0 1 2 3 0

Every lane gets exactly G/V rows per step, every pool contributes exactly q rows per step, and over a cycle of V steps every lane
draws exactly q rows of the pool. The draws of a pool are numbered by step, lane, and position within the lane; how many draws of
each lane precede a given draw has a closed form.

Letters: S pools, V lanes (and steps of a cycle).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ltrec.data.stream.reading.blocks import I64


class Schedule:
    """Counts per (step, lane, pool) for the given quotas [S], G = their sum, a multiple of `lanes`."""

    def __init__(self, quotas: Sequence[int], lanes: int) -> None:
        assert sum(quotas) % lanes == 0, (quotas, lanes)
        self.quotas = tuple(quotas)
        self.lanes = lanes
        edges = np.concatenate([[0], np.cumsum(quotas)])
        step, lane = np.arange(lanes)[:, None, None], np.arange(lanes)[None, :, None]
        # Labels below `edge` that belong to the lane: numbers below it with the remainder (lane - step) mod V.
        below = (edges - (lane - step) % lanes + lanes - 1) // lanes
        self._counts = np.diff(below, axis=2)  # [V steps, V lanes, S]
        self._first = _exclusive(self._counts, axis=1)  # [V, V+1, S] draws of the pool by lower lanes in this step
        self._in_lane = _exclusive(self._counts, axis=2)  # [V, V, S+1] rows of lower pools in this lane-step
        self._earlier = _exclusive(self._counts, axis=0)[:-1]  # [V, V, S] draws of the lane in earlier steps of the cycle

    def counts(self, step: int | I64, pool: int) -> I64:
        """Rows of the pool per lane in a step [V], or in each of S steps [S, V]."""
        counts: I64 = self._counts[np.asarray(step) % self.lanes, :, pool]
        return counts

    def first_draws(self, step: int | I64, pool: int) -> I64:
        """Number of the first draw of every lane in a step, [V+1], or in each of S steps; the last entry is the first draw of the
        next step."""
        steps = np.asarray(step)
        draws: I64 = steps[..., None] * self.quotas[pool] + self._first[steps % self.lanes, :, pool]
        return draws

    def first_slots(self, step: int | I64, pool: int, lanes: range) -> I64:
        """Slot of the pool's first row in each of these lanes, for a step or each of S steps; slots are counted from the first of
        these lanes."""
        per_lane = sum(self.quotas) // self.lanes
        within: I64 = self._in_lane[np.asarray(step) % self.lanes, lanes.start : lanes.stop, pool]
        return np.arange(len(lanes)) * per_lane + within

    def drawn_in_earlier_steps(self, step: int, pool: int) -> I64:
        """How many of the pool's draws in earlier steps belong to each lane [V]."""
        cycles, k = divmod(step, self.lanes)
        earlier: I64 = cycles * self.quotas[pool] + self._earlier[k, :, pool]
        return earlier

    def drawn_before(self, draw: int, pool: int) -> I64:
        """How many of the pool's draws with a number below `draw` belong to each lane [V]."""
        step, within = divmod(draw, self.quotas[pool])
        k = step % self.lanes
        partial: I64 = np.clip(within - self._first[k, :-1, pool], 0, self._counts[k, :, pool])
        return self.drawn_in_earlier_steps(step, pool) + partial


def _exclusive(counts: I64, axis: int) -> I64:
    """Running sums along an axis that start at 0 and end with the total."""
    sums = np.cumsum(counts, axis=axis)
    zero = np.zeros_like(np.take(sums, [0], axis=axis))
    return np.concatenate([zero, sums], axis=axis)
