"""Order of a pool that streams from disk: every lane reads its own rows, one shuffle buffer at a time.

1. The blocks are shuffled into one fixed order (blocks.py).
2. Epoch e of the pool consists of the draws e*n .. (e+1)*n. The schedule determines how many of them belong to each lane, and the
   shuffled rows are divided accordingly. So an epoch is a permutation of *all* rows although lanes are independent, and a lane
   keeps its blocks from epoch to epoch, up to a few rows at the boundaries.
3. In every epoch a lane shuffles its pieces of blocks, all of them or those of `shuffle_shards` shards after the other, reads
   `buffer_blocks` of them at a time into a buffer and shuffles the rows of that buffer. A lane's first buffer is shorter, by an
   amount that depends on the lane, so that lanes refill in different steps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ltrec.core.hashing import mix, permutation
from ltrec.core.ragged import prefix_sums, ragged
from ltrec.data.stream.order.draws import Buffer, Draws, Pieces
from ltrec.data.stream.order.schedule import Schedule
from ltrec.data.stream.reading.blocks import I64, Blocks
from ltrec.data.stream.reading.lru_cache import LruCache

_PIECES, _ROWS, _SHARDS = 1, 2, 3  # what a permutation is for


@dataclass(frozen=True, slots=True)
class _LaneEpoch:
    """A lane's shuffled pieces in an epoch; buffer b has the pieces edges[b]:edges[b+1] and the rows bounds[b]:bounds[b+1]."""

    pieces: Pieces
    edges: list[int]
    bounds: list[int]


@dataclass(frozen=True, slots=True)
class _LaneShares:
    """An epoch divided among lanes: draws in earlier epochs [V], draws in this one [V], first row in the shuffled order [V+1]."""

    earlier: list[int]
    share: list[int]
    rows: list[int]


class LaneOrder:
    """Order of one streamed pool; `blocks` must be shuffled already."""

    def __init__(
        self, pool: int, blocks: Blocks, schedule: Schedule, seed: int, buffer_blocks: int, shuffle_shards: int = 0
    ) -> None:
        self._pool, self._blocks, self._schedule = pool, blocks, schedule
        self._seed, self._buffer_blocks, self._shuffle_shards = seed, buffer_blocks, shuffle_shards
        self._starts = blocks.starts
        self._total = int(self._starts[-1])
        self._shares: LruCache[int, _LaneShares] = LruCache(self._divide, keep=3)
        self._lane_epoch: LruCache[tuple[int, int], _LaneEpoch] = LruCache(self._shuffle_pieces, keep=2, group=lambda key: key[0])
        self._shuffled: LruCache[Buffer, I64] = LruCache(self._shuffle_rows, keep=2, group=lambda buffer: buffer.lane)

    def draws(self, steps: range, lanes: range) -> list[Draws]:
        """One entry per lane, more where a buffer or an epoch ends within the steps: what a lane draws in one step follows what it
        drew in the step before."""
        numbers = np.arange(steps.start, steps.stop)
        counts = self._schedule.counts(numbers, self._pool)[:, lanes.start : lanes.stop].T
        slots = ragged(self._schedule.first_slots(numbers, self._pool, lanes).T.ravel(), counts.ravel())
        step = np.repeat(np.tile(numbers - steps.start, len(lanes)), counts.ravel())
        found, at = [], 0
        for buffer, first, last in self._parts(steps.start, lanes, counts.sum(axis=1).tolist()):
            own = slice(at, at + last - first)
            found.append(Draws(buffer, self._shuffled(buffer)[first:last], slots[own], buffer.epoch, step[own], first))
            at = own.stop
        return found

    def buffers(self, step: int, lanes: range) -> list[Buffer]:
        """The buffers that these lanes draw from in a step."""
        counts = self._schedule.counts(step, self._pool)[lanes.start : lanes.stop]
        return [buffer for buffer, _, _ in self._parts(step, lanes, counts.tolist())]

    def shuffled(self, buffer: Buffer) -> I64:
        """A permutation of the buffer's rows."""
        return self._shuffled(buffer)

    def blocks_of(self, lanes: range) -> range:
        """The blocks that these lanes read in the first epoch, and one more at either end: other epochs are divided otherwise."""
        rows = self._shares(0).rows
        first = int(np.searchsorted(self._starts, rows[lanes.start], side="right")) - 1
        stop = int(np.searchsorted(self._starts, rows[lanes.stop], side="left"))
        return range(max(0, first - 1), min(self._blocks.count, stop + 1))

    def pieces(self, buffer: Buffer) -> Pieces:
        """The pieces of the lane's epoch that the buffer holds."""
        epoch = self._lane_epoch((buffer.lane, buffer.epoch))
        return epoch.pieces.part(epoch.edges[buffer.number], epoch.edges[buffer.number + 1])

    def _parts(self, step: int, lanes: range, counts: Sequence[int]) -> Iterator[tuple[Buffer, int, int]]:
        """Buffers, and from where to where in their order of drawing: `counts` draws of each lane from a step on."""
        draws = self._schedule.first_draws(step, self._pool).tolist()
        drawn = self._schedule.drawn_in_earlier_steps(step, self._pool).tolist()
        epoch = draws[lanes.start] // self._total
        shares = self._shares(epoch)
        for lane, count in zip(lanes, counts, strict=True):
            if draws[lane] >= (epoch + 1) * self._total:
                epoch = draws[lane] // self._total
                shares = self._shares(epoch)
            own, of_lane, at = epoch, shares, drawn[lane] - shares.earlier[lane]
            while count:
                taken = min(count, of_lane.share[lane] - at)
                yield from self._run(lane, own, at, at + taken)
                count, own, at = count - taken, own + 1, 0
                of_lane = self._shares(own) if count else of_lane

    def _run(self, lane: int, epoch: int, at: int, stop: int) -> Iterator[tuple[Buffer, int, int]]:
        """Rows at:stop of a lane's epoch, buffer by buffer."""
        if at == stop:
            return
        bounds = self._lane_epoch((lane, epoch)).bounds
        number = bisect_right(bounds, at) - 1
        while at < stop:
            low, high = bounds[number], min(stop, bounds[number + 1])
            yield Buffer(self._pool, lane, epoch, number), at - low, high - low
            at, number = high, number + 1

    def _divide(self, epoch: int) -> _LaneShares:
        earlier = self._schedule.drawn_before(epoch * self._total, self._pool)
        share = self._schedule.drawn_before((epoch + 1) * self._total, self._pool) - earlier
        return _LaneShares(earlier.tolist(), share.tolist(), prefix_sums(share).tolist())

    def _shuffle_pieces(self, key: tuple[int, int]) -> _LaneEpoch:
        lane, epoch = key
        low, high = self._shares(epoch).rows[lane : lane + 2]
        first = int(np.searchsorted(self._starts, low, side="right")) - 1
        last = int(np.searchsorted(self._starts, high, side="left"))
        order = permutation(mix(self._seed, self._pool, _PIECES, lane, epoch), last - first)
        if self._shuffle_shards:
            order = order[np.argsort(self._window_of(first + order, lane, epoch), kind="stable")]
        order = first + order
        blocks = self._blocks.take(order)
        starts = self._starts[order]
        pieces = Pieces(blocks, np.maximum(low - starts, 0), np.minimum(high - starts, blocks.rows))
        opening = 1 + lane * self._buffer_blocks // self._schedule.lanes
        edges = [0, *range(opening, order.size, self._buffer_blocks), order.size]
        return _LaneEpoch(pieces, edges, prefix_sums(pieces.high - pieces.low)[edges].tolist())

    def _window_of(self, numbers: I64, lane: int, epoch: int) -> I64:
        """For each block, which group of `shuffle_shards` shards it is in [blocks]; the epoch has an order of shards of its own."""
        shards, which = np.unique(self._blocks.shard[numbers], return_inverse=True)
        turn = np.argsort(permutation(mix(self._seed, self._pool, _SHARDS, lane, epoch), shards.size))
        return turn[which] // self._shuffle_shards

    def _shuffle_rows(self, buffer: Buffer) -> I64:
        bounds = self._lane_epoch((buffer.lane, buffer.epoch)).bounds
        rows = bounds[buffer.number + 1] - bounds[buffer.number]
        return permutation(mix(self._seed, self._pool, _ROWS, buffer.lane, buffer.epoch, buffer.number), rows)
