"""What the stream may be told. Fields that decide the *order* enter the order digest; the others change only speed and memory."""

from __future__ import annotations

from dataclasses import dataclass

COMPOSITIONS = ("natural", "quota")
WINDOWS = ("last", "random")
UNITS = ("target", "user")
USERS = ("all", "tail", "head")


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """Options of the training stream."""

    batch_rows: int = 240
    """Users per optimiser step, over all processes and micro-batches; a multiple of `lanes`. Order."""

    lanes: int = 48
    """Virtual lanes: equal parts of every step. Any number of processes that divides it sees the same steps. Order."""

    composition: str = "natural"
    """`natural`: users as they come, each once per pass. `quota`: a fixed number of users of every stratum in every step. Order."""

    quotas: tuple[float, ...] = ()
    """For `quota`: one number per stratum, integers that sum to `batch_rows` or shares that sum to 1; empty = equal shares.
    Order."""

    max_len: int = 50
    """Positions of a training row at most; it is cut from max_len + 1 training events. Order."""

    window: str = "last"
    """Which training events of a longer user: the `last`, or a `random` run drawn anew at every visit. Order."""

    unit: str = "target"
    """What an example is, hence what losses are averaged over. `target`: a target position. `user`: a visit to a user, whose loss
    is the mean over the row's targets."""

    users: str = "all"
    """Whom to train on: `all`, or only the strata of the `tail` or of the `head`, divided at the stratum nearest to the head cut.
    Evaluation is not affected. Order."""

    resident_mib: int = 64
    """A pool of users (all, or a stratum under quotas) estimated no larger is kept in memory by every process and shuffled as a
    whole; a larger one streams from disk through the lanes. Order, where it changes that choice."""

    window_blocks: int = 8
    """Blocks (row groups) that a lane of a streamed pool holds and shuffles at a time. Order, if a pool is streamed."""

    prefetch: int = 2
    """Steps prepared ahead of the one in use. Speed only."""

    threads: int = 2
    """Threads that prepare steps. Speed only."""

    memory_mib: int = 4096
    """Refuse to start when the lanes of one process may hold more than this. Refusal only."""

    check: str = "hash"
    """`hash`: a shard's sha256 is compared when it is first opened. `size`: sizes and page checksums only, for a faster start; a
    bit flipped in a footer may then pass."""
