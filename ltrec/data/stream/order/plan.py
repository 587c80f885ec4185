"""The plan: (manifest, seed, config) -> which row goes to which slot of which step. Pure: no files, no ranks, no clock.

A *pool* is a set of users that is shuffled on its own: all trainable users (`natural`), or one stratum each (`quota`). In every
step pool s fills q_s of the G slots; the draws of a pool are one permutation of its rows after another, without end. A pool that
fits in memory is shuffled as a whole (resident.py), a larger one within lanes (lanes.py). Slots are numbered lane by lane, and each
process fills the slots of its lanes, so a step does not depend on the number of processes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from ltrec.core.storage.canonical import canonical_json
from ltrec.core.strata import MergedStrata, Strata
from ltrec.data.manifest import Manifest
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.order.draws import Buffer, Draws, Pieces, PoolOrder
from ltrec.data.stream.order.lanes import LaneOrder
from ltrec.data.stream.order.pools import Pool, check_options, make_pools
from ltrec.data.stream.order.resident import ResidentOrder
from ltrec.data.stream.order.schedule import Schedule
from ltrec.data.stream.order.trained import TrainedUsers
from ltrec.data.stream.reading.blocks import I64

_ORDER_VERSION = 1
_BUFFERS_HELD = 2  # per lane: the current one and the next


@dataclass(frozen=True, slots=True)
class Plan:
    """The order of the training stream; created by `Plan.of`.

    Attributes:
        seed: of all permutations and random windows.
        batch_rows: G, users per step.
        lanes: V.
        max_len: most positions of a row.
        window: `last` or `random`.
        unit: what an example is, `target` or `user`.
        users: which users to train on, `all`, `tail` or `head`.
        trained: how many of them have a target, by stratum (of `strata`).
        train_rows: how many in all.
        trainable_rows: trainable users of the data set.
        pools: the pools, except those with a quota of 0.
        strata: the strata that batches carry; pools and the digest of consumed rows use the data set's.
        stratum_map: index in `strata` of each of the data set's strata.
        digest: hex sha256 of everything that determines the order besides the manifest and the seed.
    """

    seed: int
    batch_rows: int
    lanes: int
    max_len: int
    window: str
    unit: str
    users: str
    trained: TrainedUsers
    train_rows: int
    trainable_rows: int
    pools: tuple[Pool, ...]
    strata: Strata
    stratum_map: tuple[int, ...]
    digest: str
    _orders: tuple[PoolOrder, ...]
    _buffer_blocks: int
    _block_rows: int

    @staticmethod
    def of(manifest: Manifest, seed: int, config: StreamConfig, merged: MergedStrata | None = None) -> Plan:
        """Check the options against the data and determine the order.

        Args:
            manifest: of the data set.
            seed: of all permutations and random windows.
            config: the user's options.
            merged: fewer strata for the batches, which does not change the order; None = those of the data set.

        Raises:
            UserError: an option is wrong; the message says what would be right.
        """
        check_options(config)
        pools = make_pools(manifest, seed, config)
        merged = merged or manifest.strata.merged(manifest.strata.count)
        trained = TrainedUsers.of(manifest, config.users).merged(merged)
        schedule = Schedule([pool.quota for pool in pools], config.lanes)
        return Plan(
            seed=seed,
            batch_rows=config.batch_rows,
            lanes=config.lanes,
            max_len=config.max_len,
            window=config.window,
            unit=config.unit,
            users=config.users,
            trained=trained,
            train_rows=sum(trained.users_K),
            trainable_rows=manifest.train_rows,
            pools=pools,
            strata=merged.strata,
            stratum_map=merged.stratum_map,
            digest=hashlib.sha256(canonical_json(_order_spec(config, pools)).encode()).hexdigest(),
            _orders=tuple(_order(number, pool, schedule, seed, config) for number, pool in enumerate(pools)),
            _buffer_blocks=config.buffer_blocks,
            _block_rows=manifest.block_rows,
        )

    @property
    def steps_per_epoch(self) -> int:
        """ceil(train_rows / G), the same for every process."""
        return -(-self.train_rows // self.batch_rows)

    @property
    def visits_per_epoch(self) -> dict[str, float]:
        """How often an epoch visits a user of each pool, on average; above 1 = over-sampled."""
        return {pool.name: pool.quota * self.steps_per_epoch / pool.rows for pool in self.pools}

    def draws(self, step: int, lanes: range) -> list[Draws]:
        """The rows of these lanes in a step. Slots are counted from the first slot of these lanes."""
        return self.draws_of(range(step, step + 1), lanes)

    def draws_of(self, steps: range, lanes: range) -> list[Draws]:
        """The rows of these lanes in consecutive steps, those of a buffer together."""
        return [draw for order in self._orders for draw in order.draws(steps, lanes)]

    def buffers(self, step: int, lanes: range) -> list[Buffer]:
        """The buffers that these lanes draw from in a step."""
        return [buffer for order in self._orders for buffer in order.buffers(step, lanes)]

    def shuffled(self, buffer: Buffer) -> I64 | None:
        """The rows of a lane's buffer in the order of drawing; None for a resident pool."""
        return self._orders[buffer.pool].shuffled(buffer)

    def pieces(self, buffer: Buffer) -> Pieces:
        """Which parts of which blocks a buffer consists of."""
        return self._orders[buffer.pool].pieces(buffer)

    def memory_bytes(self, lanes: int) -> int:
        """Upper bound on the bytes of rows that a process with this many lanes holds: resident pools, and of others two buffers per
        lane, or if that is less all that its lanes read."""
        return sum(
            pool.bytes if pool.resident else min(self._two_buffers(pool, lanes), self._all(pool, lanes)) for pool in self.pools
        )

    def keeps(self, number: int, lanes: int) -> bool:
        """Whether a process with so many lanes keeps all that they read of a streamed pool, because buffers would take no less."""
        pool = self.pools[number]
        return not pool.resident and self._all(pool, lanes) <= self._two_buffers(pool, lanes)

    def blocks_of(self, number: int, lanes: range) -> range:
        """Numbers of the blocks of a streamed pool that these lanes read, and a few more where neighbours share one."""
        order = self._orders[number]
        assert isinstance(order, LaneOrder)
        return order.blocks_of(lanes)

    def ahead(self) -> int:
        """How many steps to look ahead for buffers that will be needed; 0 if buffers are too short for that to help."""
        return min(8, self.steps_of_a_buffer // 4)

    @property
    def steps_of_a_buffer(self) -> int:
        """How many steps a lane's buffer lasts if all its rows are drawn; 0 if none is streamed."""
        if all(pool.resident for pool in self.pools):
            return 0
        return self._buffer_blocks * self._block_rows * self.lanes // self.batch_rows

    def _two_buffers(self, pool: Pool, lanes: int) -> int:
        return _BUFFERS_HELD * lanes * self._buffer_bytes(pool)

    def _all(self, pool: Pool, lanes: int) -> int:
        """What so many lanes read in an epoch: whole blocks, and one more at either end if they are not all lanes."""
        block = self._buffer_bytes(pool) // self._buffer_blocks
        return pool.bytes if lanes == self.lanes else -(-pool.bytes * lanes // self.lanes) + 4 * block

    def _buffer_bytes(self, pool: Pool) -> int:
        return -(-pool.bytes // pool.rows) * self._block_rows * self._buffer_blocks


def _order(number: int, pool: Pool, schedule: Schedule, seed: int, config: StreamConfig) -> PoolOrder:
    if pool.resident:
        return ResidentOrder(number, pool.blocks, schedule, seed)
    return LaneOrder(number, pool.blocks, schedule, seed, config.buffer_blocks, config.shuffle_shards)


def _order_spec(config: StreamConfig, pools: tuple[Pool, ...]) -> dict[str, Any]:
    streams = not all(pool.resident for pool in pools)
    return {
        "version": _ORDER_VERSION,
        "batch_rows": config.batch_rows,
        "lanes": config.lanes,
        "pools": [{"name": pool.name, "quota": pool.quota, "resident": pool.resident} for pool in pools],
        "max_len": config.max_len,
        "window": config.window,
        # absent by default, so that digests from before the option stay valid
        **({} if config.users == "all" else {"users": config.users}),
        **({"shuffle_shards": config.shuffle_shards} if config.shuffle_shards and streams else {}),
        # under the former name of the option, so that digests from before it was renamed stay valid
        "window_blocks": config.buffer_blocks if streams else None,
    }
