"""Options of the stream. Those marked *Order* decide the order of training and enter its digest; the others change only speed and
memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from ltrec.core.bounds import Between, check_fields

Check = Literal["hash", "size"]
CHECKS: tuple[Check, ...] = get_args(Check)
OnDamage = Literal["fail", "quarantine"]


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """Options of the training stream."""

    batch_rows: Annotated[int, Between(1, 1 << 24)] = 240
    """Users per optimiser step, over all processes and micro-batches; a multiple of `lanes`. Order."""

    lanes: Annotated[int, Between(1, 1 << 16)] = 48
    """Independent readers, each of which fills an equal part of every step. The steps are the same on any number of processes that
    divides it. Order."""

    composition: Literal["natural", "quota"] = "natural"
    """`natural`: every user once per pass. `quota`: a fixed number of users of every stratum in every step. Order."""

    quotas: tuple[Annotated[float, Between(0, 1 << 24)], ...] = ()
    """For `quota`: one number per stratum, integers that sum to `batch_rows` or shares that sum to 1; empty = equal shares.
    Order."""

    max_len: Annotated[int, Between(1, 1 << 16)] = 50
    """Most positions of a training row; a row of L positions comes from a window of L + 1 training events. Order."""

    window: Literal["last", "random"] = "last"
    """Which window of a user with more training events: the `last` one, or a `random` one, drawn at every visit. Order."""

    unit: Literal["target", "user"] = "target"
    """What counts as one example when losses are averaged. `target`: a target position. `user`: a visit to a user, whose loss is
    the mean over the row's targets."""

    users: Literal["all", "tail", "head"] = "all"
    """Which users to train on: `all`, or only the strata of the `tail` or of the `head`, divided at the stratum boundary nearest to
    the head cut. Evaluation is not affected. Order."""

    resident_mib: Annotated[int, Between(0, 1 << 24)] = 64
    """A pool of users (all of them, or with quotas one stratum) of at most this estimated size is kept in memory by every process
    and shuffled as a whole; a larger one streams from disk through the lanes. Order, where it changes that choice."""

    buffer_blocks: Annotated[int, Between(1, 1 << 20)] = 8
    """Size of the shuffle buffer of each lane of a streamed pool, in blocks (row groups). A process whose buffers, two for each
    lane, would be as large as all that its lanes read keeps that in memory instead. Order, if a pool is streamed."""

    shuffle_shards: Annotated[int, Between(0, 1 << 20)] = 0
    """How many shards of a streamed pool each lane shuffles together; 0 = all that it reads in an epoch. With a number, about so
    many per lane are needed at a time, and data in a store may be larger than the node's disk; at least twice the number of
    strata keeps steps mixed. Order, if a pool is streamed and it is not 0."""

    prefetch: Annotated[int, Between(0, 1024)] = 2
    """Number of steps prepared ahead. Speed only."""

    threads: Annotated[int, Between(1, 1024)] = 2
    """Threads that prepare steps. Speed only."""

    memory_mib: Annotated[int, Between(1, 1 << 30)] = 4096
    """Training does not start if the lanes of one process could hold more than this."""

    check: Check = "hash"
    """`hash`: the sha256 of a shard is verified when it is first opened. `size`: only sizes and page checksums are, for a faster
    start; a flipped bit in a footer may then go unnoticed."""

    on_damage: OnDamage = "fail"
    """What to do about a row group that fails its check while training. `fail`: training ends. `quarantine`: users of healthy row
    groups of the same stratum take its users' places, and the run keeps a ledger. Damage of footers and manifest always ends it."""

    damage_budget: Annotated[float, Between(0, 1)] = 0.01
    """For `quarantine`: training ends once more than this share of a stratum's users is in damaged row groups."""

    def __post_init__(self) -> None:
        check_fields(self)
