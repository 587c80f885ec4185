"""The first inner steps of many trajectories from one forward and one backward pass.

All trajectories start from the same parameters, each with a task of its own: so their first gradients are those of so many segments
(`ltrec.models.segments`), with as many operations as one task has, nearly. Later steps are at parameters that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from ltrec.core.losses import ExampleLosses
from ltrec.distributed.batches import MicroBatch, known_rows
from ltrec.distributed.by_segments import one_by_one
from ltrec.models.by_segment import BySegment
from ltrec.models.segments import SegmentDraws, Segments

FirstStep = tuple[ExampleLosses, list[Tensor]]
"""The losses of a trajectory's first task, and the gradient of their mean for every parameter."""

MOST_NUMBERS = 1 << 26
"""Numbers of the gradients that are held at a time: 256 MiB in float32."""


class FirstSteps:
    """Computes them in memory that is used again.

    Args:
        parameters: all that are trained.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self._offsets = list(accumulate((p.numel() for p in parameters), initial=0))
        self._memory = parameters[0].detach().new_empty(0)

    @property
    def at_once(self) -> int:
        """Trajectories of one pass; at least one."""
        return tasks_at_once(self._offsets[-1])

    def __call__(
        self, tasks: Sequence[MicroBatch], losses: Callable[[MicroBatch], ExampleLosses], seed: Callable[[int], None]
    ) -> list[FirstStep]:
        """The first step of each trajectory; its gradients are overwritten by the next call.

        Args:
            tasks: the first of every trajectory, none empty, whose batches `can_segment`.
            losses: runs the stage on all of them together.
            seed: number of a task -> torch's generator is as it is when the task is run alone.
        """
        joined = type(tasks[0]).concatenate(tasks)  # type: ignore[attr-defined]  # `can_segment`
        rows, lengths = [task.num_rows for task in tasks], [_positions(task) for task in tasks]
        flat_MN = self._zeros(len(tasks))
        bounds = list(zip(self.parameters, self._offsets, self._offsets[1:], strict=False))
        sink = {id(p): flat_MN[:, start:stop].view(len(tasks), *p.shape) for p, start, stop in bounds}
        device = self.parameters[0].device
        run_T = torch.repeat_interleave(torch.arange(len(tasks)), torch.tensor(lengths)).to(device)
        draws = SegmentDraws(rows, [_generator(seed, number) for number in range(len(tasks))]) if one_by_one(device) else None
        with BySegment(Segments(list(accumulate(lengths, initial=0)), run_T, sink, draws, rows)):
            example = losses(joined)
            examples = _by_task(example, lengths if len(example.loss_N) == sum(lengths) else rows)
            torch.stack([own.mean() for own in examples]).sum().backward()  # type: ignore[no-untyped-call]
        return [(own.detach(), [sink[id(p)][number] for p in self.parameters]) for number, own in enumerate(examples)]

    def _zeros(self, count: int) -> Tensor:
        size = count * self._offsets[-1]
        if self._memory.numel() < size:
            self._memory = self._memory.new_empty(size)
        return self._memory[:size].zero_().view(count, -1)


def tasks_at_once(numbers: int) -> int:
    """Tasks whose gradients, of so many numbers each, are held at a time; at least one."""
    return max(1, MOST_NUMBERS // numbers)


def _positions(task: MicroBatch) -> int:
    known = known_rows(task)
    assert known is not None
    return int(known.lengths_B.sum())


def _generator(seed: Callable[[int], None], number: int) -> torch.Generator:
    seed(number)
    return torch.Generator().set_state(torch.default_generator.get_state())


def _by_task(example: ExampleLosses, sizes: Sequence[int]) -> list[ExampleLosses]:
    """The examples of each task: targets or rows, so many of each."""
    parts = [None if values is None else torch.split(values, list(sizes)) for values in example]
    return [ExampleLosses(*(None if part is None else part[n] for part in parts)) for n in range(len(sizes))]  # type: ignore[arg-type]
