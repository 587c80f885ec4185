"""A reduce-scatter between pairs of processes, for gloo: its own copies the input and all-reduces it, twice the bytes of a ring.

In turn d of W - 1, every rank sends to the rank d after it that rank's part, receives its own part from the rank d before it, and
adds it up. (W - 1) / W of the input leave every rank, as in a ring, and no memory is needed: a part is received where the result
will be. The first round runs while the caller computes, the others follow when it waits; two processes need only one.

A turn is one all-to-all in which all sizes but one are 0. Plain sends and receives cost gloo several times the processor's time.
"""

from __future__ import annotations

from typing import Any

import torch.distributed as dist
from torch import Tensor

from ltrec.core.world import World


def gloo_on_cpu() -> bool:
    """Whether CPU tensors travel over gloo."""
    return dist.is_available() and dist.is_initialized() and "cpu:gloo" in dist.get_backend_config()


class PairwiseReduceScatter:
    """One pending reduce-scatter. `whole` must be left alone until `wait` returns, and is used up then.

    Each part is summed on one rank alone, in an order that is always the same.

    Args:
        world: this rank among how many, two at least.
        part: [n / W], the result.
        whole: [n], what this rank adds.
    """

    def __init__(self, world: World, part: Tensor, whole: Tensor) -> None:
        self._world, self._part = world, part.view(-1)
        self._parts = whole.view(world.size, -1)
        self._turn = 1
        self._exchange = self._begin()

    def _begin(self) -> Any:  # torch leaves it untyped
        size, rank, count = self._world.size, self._world.rank, len(self._part)
        to, source = (rank + self._turn) % size, (rank - self._turn) % size
        return dist.all_to_all_single(
            self._part,
            self._parts[to],
            output_split_sizes=[count if other == source else 0 for other in range(size)],
            input_split_sizes=[count if other == to else 0 for other in range(size)],
            async_op=True,
        )

    def wait(self) -> None:
        """Finish; a second call does nothing."""
        own = self._parts[self._world.rank]
        while self._exchange is not None:
            self._exchange.wait()
            self._turn += 1
            if self._turn < self._world.size:
                own.add_(self._part)
                self._exchange = self._begin()
            else:
                self._part.add_(own)
                self._exchange = None
