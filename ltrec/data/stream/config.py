"""Options of the stream. Fields that decide the *order* enter the order digest; the others change only speed and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from ltrec.core.bounds import Between, check_fields

Check = Literal["hash", "size"]
CHECKS: tuple[Check, ...] = get_args(Check)


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """Options of the training stream."""

    batch_rows: Annotated[int, Between(1, 1 << 24)] = 240
    """Users per optimiser step, over all processes and micro-batches; a multiple of `lanes`. Order."""

    lanes: Annotated[int, Between(1, 1 << 16)] = 48
    """Virtual lanes: equal parts of every step. Any number of processes that divides it sees the same steps. Order."""

    composition: Literal["natural", "quota"] = "natural"
    """`natural`: users as they come, each once per pass. `quota`: a fixed number of users of every stratum in every step. Order."""

    quotas: tuple[Annotated[float, Between(0, 1 << 24)], ...] = ()
    """For `quota`: one number per stratum, integers that sum to `batch_rows` or shares that sum to 1; empty = equal shares.
    Order."""

    max_len: Annotated[int, Between(1, 1 << 16)] = 50
    """Positions of a training row at most; it is cut from max_len + 1 training events. Order."""

    window: Literal["last", "random"] = "last"
    """Which training events of a longer user: the `last`, or a `random` run drawn anew at every visit. Order."""

    unit: Literal["target", "user"] = "target"
    """What an example is, hence what losses are averaged over. `target`: a target position. `user`: a visit to a user, whose loss
    is the mean over the row's targets."""

    users: Literal["all", "tail", "head"] = "all"
    """Whom to train on: `all`, or only the strata of the `tail` or of the `head`, divided at the stratum nearest to the head cut.
    Evaluation is not affected. Order."""

    resident_mib: Annotated[int, Between(0, 1 << 24)] = 64
    """A pool of users (all, or a stratum under quotas) estimated no larger is kept in memory by every process and shuffled as a
    whole; a larger one streams from disk through the lanes. Order, where it changes that choice."""

    buffer_blocks: Annotated[int, Between(1, 1 << 20)] = 8
    """Blocks (row groups) that a lane of a streamed pool holds and shuffles at a time. Order, if a pool is streamed."""

    prefetch: Annotated[int, Between(0, 1024)] = 2
    """Steps prepared ahead of the one in use. Speed only."""

    threads: Annotated[int, Between(1, 1024)] = 2
    """Threads that prepare steps. Speed only."""

    memory_mib: Annotated[int, Between(1, 1 << 30)] = 4096
    """Refuse to start when the lanes of one process may hold more than this. Refusal only."""

    check: Check = "hash"
    """`hash`: a shard's sha256 is compared when it is first opened. `size`: sizes and page checksums only, for a faster start; a
    bit flipped in a footer may then pass."""

    def __post_init__(self) -> None:
        check_fields(self)
