"""Collectives with a null form for a single process, so that callers need not know the number of ranks.

`Collectives` is what the step uses: asynchronous, over buffers that the caller owns, and counted. The counters hold what a ring
would send from each rank, so that a budget can be checked on any backend:

    all_reduce 2 r n     reduce_scatter r n     all_gather r n     broadcast r n        r = (W - 1) / W, n = bytes of the tensor
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from ltrec.core.errors import UserError
from ltrec.core.rows.touched import distinct
from ltrec.core.world import World
from ltrec.distributed.pairwise import PairwiseReduceScatter, gloo_on_cpu

T = TypeVar("T")


class Pending(Protocol):
    """A pending collective."""

    def wait(self) -> object:
        """Block until the result is in its buffer (on a GPU: until the stream may use it)."""


class _Done:
    """A collective that is already complete."""

    def wait(self) -> None:
        """Return at once."""


DONE: Pending = _Done()


class _Timed:
    """A collective that reports how many seconds its process was blocked for it."""

    def __init__(self, work: Pending, report: Callable[[float], None]) -> None:
        self._work, self._report = work, report

    def wait(self) -> None:
        """Finish, and report."""
        begin = time.perf_counter()
        self._work.wait()
        self._report(time.perf_counter() - begin)


# Torch 2.13 renamed both; the old names warn.
reduce_scatter_single = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor
all_gather_single = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor


class Collectives:
    """Counted, asynchronous collectives over the default group. CPU tensors travel over gloo, CUDA tensors over NCCL.

    Attributes:
        world: this rank among how many.
        calls: collectives begun, by name.
        sent: bytes that a ring sends from one rank (see above), by name.
    """

    def __init__(self) -> None:
        self.world = current_world()
        self.calls: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self._timed, self._waited = False, 0.0
        self._pairwise = gloo_on_cpu()

    def all_reduce(self, tensor: Tensor) -> Pending:
        """Sum over ranks, in place."""
        if not self._count("all_reduce", tensor, times=2):
            return DONE
        return self._under_way(dist.all_reduce(tensor, async_op=True))

    def reduce_scatter(self, partition: Tensor, whole: Tensor) -> Pending:
        """partition [n / W] = this rank's part of the sum of `whole` [n] over ranks; `whole` may be used up."""
        if not self._count("reduce_scatter", whole):
            partition.copy_(whole)
            return DONE
        if self._pairwise and whole.device.type == "cpu":
            return self._under_way(PairwiseReduceScatter(self.world, partition, whole))
        return self._under_way(reduce_scatter_single(partition, whole, async_op=True))

    def all_gather(self, whole: Tensor, partition: Tensor) -> Pending:
        """whole [n] = the partitions [n / W] of all ranks, in rank order."""
        if not self._count("all_gather", whole):
            whole.copy_(partition)
            return DONE
        return self._under_way(all_gather_single(whole, partition, async_op=True))

    def broadcast(self, tensor: Tensor) -> Pending:
        """Rank 0's values, in place."""
        if not self._count("broadcast", tensor):
            return DONE
        return self._under_way(dist.broadcast(tensor, 0, async_op=True))

    def union(self, ids_N: Tensor) -> Tensor:
        """The distinct ids of all ranks, ascending: two small collectives, waited for.

        Args:
            ids_N: int64, this rank's, distinct and rising.
        """
        size = self.world.size
        if size == 1:
            return ids_N
        longest = ids_N.new_zeros(size)
        longest[self.world.rank] = ids_N.numel()
        self.all_reduce(longest).wait()
        padded = ids_N.new_zeros(int(longest.max()))
        padded[: ids_N.numel()] = ids_N
        padded[ids_N.numel() :] = ids_N[-1]
        whole = padded.new_empty(size * padded.numel())
        self.all_gather(whole, padded).wait()
        return distinct(whole)

    def _count(self, name: str, whole: Tensor, times: int = 1) -> bool:
        """Count a collective; False when there is no one to talk to."""
        size = self.world.size
        if size > 1:
            self.calls[name] += 1
            self.sent[name] += times * whole.nbytes * (size - 1) // size
        return size > 1

    def _under_way(self, work: Pending | None) -> Pending:
        assert work is not None
        return _Timed(work, self._add_wait) if self._timed else work

    def _add_wait(self, seconds: float) -> None:
        self._waited += seconds

    def time_waits(self) -> Callable[[], float]:
        """Begin to measure how long this process is blocked in collectives; returns what gives the seconds since its last call.

        On a GPU this is not meaningful: there the stream waits, not the process.
        """
        self._timed = True
        return self._take_waited

    def _take_waited(self) -> float:
        waited, self._waited = self._waited, 0.0
        return waited


def current_world() -> World:
    """The world of the default process group; one process when there is none."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World()


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """Sum over ranks, as a new tensor of the same shape, equal on every rank."""
    if current_world().size == 1:
        return tensor
    total = tensor.clone()
    dist.all_reduce(total)
    return total


def any_rank(mine: bool) -> bool:
    """Whether it is true on any rank. A collective."""
    return bool(all_reduce_sum(torch.tensor([mine], dtype=torch.int64)).any())


def all_gather_ids(ids_N: Tensor) -> Tensor:
    """Concatenate int64 vectors of different lengths over ranks, in rank order."""
    size = current_world().size
    if size == 1:
        return ids_N
    lengths = torch.zeros(size, dtype=torch.int64, device=ids_N.device)
    lengths[current_world().rank] = ids_N.numel()
    dist.all_reduce(lengths)
    longest = int(lengths.max())
    mine = torch.nn.functional.pad(ids_N, (0, longest - ids_N.numel()))
    parts = [torch.empty_like(mine) for _ in range(size)]
    dist.all_gather(parts, mine)
    return torch.cat([part[:n] for part, n in zip(parts, lengths.tolist(), strict=True)])


def by_first(make: Callable[[], T]) -> T:
    """Rank 0 makes an object while the others wait, and every rank gets it: something small that can be pickled.

    Raises:
        UserError: rank 0's, on every rank.
    """
    made: T | None = None
    fault: str | None = None
    if current_world().rank == 0:
        try:
            made = make()
        except UserError as error:
            fault = str(error)
    made, fault = all_gather_parts((made, fault))[0]
    if fault is not None:
        raise UserError(fault)
    return cast(T, made)


def all_gather_parts(part: T) -> list[T]:
    """Every rank's picklable object, in rank order: results of evaluation, never anything from outside."""
    size = current_world().size
    if size == 1:
        return [part]
    parts: list[T | None] = [None] * size
    dist.all_gather_object(parts, part)
    return [p for p in parts if p is not None]
