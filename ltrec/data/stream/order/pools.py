"""Pools: sets of users that are shuffled separately, and whether each fits in memory. Also checks the options of the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ltrec.core.errors import UserError
from ltrec.data.manifest import Manifest
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.order.quotas import resolve_quotas
from ltrec.data.stream.reading.blocks import Blocks, blocks_of, shuffle_blocks

_ROW_BYTES = 32  # key, offset, stratum and overhead of a row in memory, besides its items
ITEM_BYTES = 4
"""Bytes of an item in memory."""
_GROUP = {"all": "", "tail": " tail", "head": " head"}


class StepShare(NamedTuple):
    """What a group of users contributes to every step: its name for messages, the numbers of its shards, and rows per step."""

    name: str
    shards: list[int]
    quota: int


@dataclass(frozen=True, slots=True)
class Pool:
    """Users that are shuffled together, separately from other pools.

    Attributes:
        name: for messages.
        blocks: the row groups.
        quota: rows per step.
        bytes: estimated size of all its rows in memory.
        resident: whether all rows are kept in memory.
    """

    name: str
    blocks: Blocks
    quota: int
    bytes: int
    resident: bool

    @property
    def rows(self) -> int:
        """Number of users."""
        return int(self.blocks.rows.sum())


def make_pools(manifest: Manifest, seed: int, config: StreamConfig) -> tuple[Pool, ...]:
    """One pool of all users (`natural`) or one for every stratum with a quota (`quota`).

    Raises:
        UserError: impossible quotas, or a pool that does not fit in memory has fewer blocks than lanes.
    """
    return tuple(_pool(share, manifest, seed, config) for share in shares_of_step(manifest, config))


def shares_of_step(manifest: Manifest, config: StreamConfig) -> list[StepShare]:
    """Which users are drawn, and how many per step; strata with a quota of 0 are left out.

    Raises:
        UserError: no user can be trained on, or impossible quotas.
    """
    shards = trained_shards(manifest, config.users)
    if config.composition == "natural":
        return [StepShare(f"{config.users} users", shards, config.batch_rows)]
    by_stratum = [[n for n in shards if manifest.shards[n].stratum == z] for z in range(manifest.strata.count)]
    rows_K = [sum(manifest.shards[n].rows for n in numbers) for numbers in by_stratum]
    quotas = resolve_quotas(config.quotas, rows_K, config.batch_rows)
    each = zip(by_stratum, quotas, strict=True)
    return [StepShare(f"stratum {z}", numbers, quota) for z, (numbers, quota) in enumerate(each) if quota]


def chosen_strata(manifest: Manifest, users: str) -> range:
    """The strata that are trained on. (Users without a stratum, -1, cannot be trained on.)

    Raises:
        UserError: head or tail is requested and the data set has only one stratum.
    """
    count, first_head = manifest.strata.count, manifest.strata.first_head
    if users == "all":
        return range(count)
    if first_head == count:
        raise UserError(
            f"`users`={users}: data set {manifest.name!r} has only one stratum, so neither head nor tail; prepare "
            "it again with strata=2 or more and --overwrite, or use `users`=all"
        )
    return range(first_head) if users == "tail" else range(first_head, count)


def trained_shards(manifest: Manifest, users: str) -> list[int]:
    """Numbers of the shards that are trained on.

    Raises:
        UserError: there are none.
    """
    chosen = chosen_strata(manifest, users)
    shards = [n for n, shard in enumerate(manifest.shards) if shard.trainable and shard.stratum in chosen]
    if not shards:
        way_out = "so it cannot be trained on" if users == "all" else f"so `users`={users} leaves no user; use `users`=all"
        raise UserError(f"data set {manifest.name!r} has no{_GROUP[users]} user with two training events, {way_out}")
    return shards


def _pool(share: StepShare, manifest: Manifest, seed: int, config: StreamConfig) -> Pool:
    name, shards, quota = share
    blocks = shuffle_blocks(blocks_of(manifest, shards), manifest, seed)
    rows, events = int(blocks.rows.sum()), sum(manifest.shards[n].events for n in shards)
    kept = events if config.window == "random" else min(events, rows * (config.max_len + 1))
    size = kept * ITEM_BYTES + rows * _ROW_BYTES
    resident = size <= config.resident_mib << 20
    if not resident and blocks.count < config.lanes:
        raise UserError(
            f"{name}: {blocks.count} blocks are too few for `lanes`={config.lanes}; prepare the data with block_rows <= "
            f"{max(1, rows // config.lanes)}, or set `resident_mib` >= {-(-size >> 20)} to keep them in memory"
        )
    return Pool(name, blocks, quota, size, resident)


def check_options(config: StreamConfig) -> None:
    """Check the options that can be checked without data.

    Raises:
        UserError: an option is wrong; the message says what would be right.
    """
    rest = config.batch_rows % config.lanes
    if rest:
        below, above = config.batch_rows - rest, config.batch_rows - rest + config.lanes
        offers = f"{below} or {above}" if below else f"{above}"
        raise UserError(f"`batch_rows`={config.batch_rows} is not a multiple of `lanes`={config.lanes}; try {offers}")
    if config.quotas and config.composition != "quota":
        raise UserError(
            f"`quotas` is given but `composition` is {config.composition!r}; set `composition` to 'quota' or leave out `quotas`"
        )
