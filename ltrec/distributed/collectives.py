"""Collectives with a null form for a single process, so that callers never ask how many ranks there are."""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ltrec.core.world import World

Part = TypeVar("Part")


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


def all_gather_parts(part: Part) -> list[Part]:
    """Every rank's picklable object, in rank order: results of evaluation, never anything from outside."""
    size = current_world().size
    if size == 1:
        return [part]
    parts: list[Part | None] = [None] * size
    dist.all_gather_object(parts, part)
    return [p for p in parts if p is not None]
