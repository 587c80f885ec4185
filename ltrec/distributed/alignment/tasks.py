"""Tasks: which rows of a micro-batch an inner step of gradient alignment sees, and how tasks line up in trajectories.

A step's G rows are distributed over M trajectories in the order of drawing, G / M consecutive rows each. With tasks of
users a trajectory is cut further into k tasks of equally many rows; with strata it is grouped by stratum, and the strata that are
there are visited in an order keyed by (seed, step, trajectory).

    W = 1   rank 0: [ a b | c d | e f | g h ]                   M = 4 trajectories of k = 2 users
    W = 2   rank 0: [ a b | c d ]   rank 1: [ e f | g h ]       the same four

A process holds a run of consecutive slots of the step, and of every micro-batch; W processes x A micro-batches divide M. So no
trajectory crosses a border, and number m is the same rows whatever W is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ltrec.core.hashing import mix
from ltrec.distributed.batches import MicroBatch, slots_on_host, strata_on_host

Trajectory = list[MicroBatch]
"""Its tasks in the order in which they are visited, none of them empty."""


def user_tasks(batch: MicroBatch, trajectories: int, inner_steps: int) -> list[Trajectory]:
    """Trajectories of `inner_steps` tasks with equally many rows; within a task rows keep the batch's order."""
    tasks = trajectories * inner_steps
    size = batch.num_rows // tasks
    order = (_place_B(batch) // size).argsort(stable=True)
    parts = batch.select(order).split([size] * tasks)
    return [_not_empty(parts[first : first + inner_steps]) for first in range(0, tasks, inner_steps)]


def stratum_tasks(batch: MicroBatch, trajectories: int, order_of: Callable[[int], int]) -> list[Trajectory]:
    """Trajectories with one task per stratum that they hold.

    Args:
        batch: a micro-batch.
        trajectories: how many it holds.
        order_of: trajectory -> seed of the order of its strata.
    """
    kinds = batch.step_counts_K.numel() + 1  # the first: rows of no stratum
    key_B = _place_B(batch) // (batch.num_rows // trajectories) * kinds + strata_on_host(batch) + 1
    sizes = torch.bincount(key_B, minlength=trajectories * kinds).tolist()
    parts = batch.select(key_B.argsort(stable=True)).split(sizes)
    return [
        _not_empty([parts[number * kinds + 1 + z] for z in _shuffled(kinds - 1, order_of(number))])
        for number in range(trajectories)
    ]


def _place_B(batch: MicroBatch) -> Tensor:
    """Position of every row in the order in which the micro-batch was drawn [B], on the CPU."""
    slot_B = slots_on_host(batch)
    return torch.arange(batch.num_rows) if slot_B is None else slot_B.argsort().argsort()


def _shuffled(count: int, seed: int) -> list[int]:
    return sorted(range(count), key=lambda number: mix(seed, number))


def _not_empty(tasks: Sequence[MicroBatch]) -> Trajectory:
    return [task for task in tasks if not task.is_empty]
