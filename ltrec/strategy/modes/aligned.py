"""The mode `aligned`: the step's gradient is the mean way of many short walks over tasks (LTP; Fish with strata as tasks).

What a task is and which walk it belongs to: `ltrec.distributed.alignment.tasks`; what the way is good for:
`ltrec.distributed.alignment.pseudo_gradient`. The rule has no part in it: a user or a stratum weighs what its place in a walk makes
it weigh.

    counts      one small all-reduce at the step's start, as in every mode
    inner steps none; the first ones of all trajectories from one pass, where the model allows it
    the way     one all-reduce of the model's size, at the step's end

Losses are those along the trajectories, at parameters that may be some inner steps away from those of the step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import nn
from torch.optim import Optimizer

from ltrec.core.hashing import mix
from ltrec.core.losses import ExampleLosses
from ltrec.distributed.alignment.first_steps import FirstStep, FirstSteps
from ltrec.distributed.alignment.pseudo_gradient import Alignment
from ltrec.distributed.alignment.tasks import Trajectory, stratum_tasks, user_tasks
from ltrec.distributed.alignment.trajectories import num_trajectories
from ltrec.distributed.batches import MicroBatch
from ltrec.distributed.by_segments import can_segment
from ltrec.distributed.report import StepReport
from ltrec.strategy.modes.protocols import StrategyForModes
from ltrec.strategy.module import segments_obstacle

_Way = tuple[int, Trajectory, FirstStep | None]
"""A trajectory's number over the whole step, its tasks, and its first step where that is known."""


class Aligned:
    """Inner steps over tasks. There are no active plugins; all parameters of the trunk move."""

    def __init__(self, strategy: StrategyForModes) -> None:
        self.strategy = strategy
        self._first_steps: FirstSteps | None = None
        self._alignment: Alignment | None = None  # made when it is first needed: a mode is there also where it is never active

    def compute_gradients(self, batch: MicroBatch, last: bool, optimizer: Optimizer | None) -> None:
        """Follow the micro-batch's trajectories; at the step's end all ranks add up."""
        engine, alignment = self.strategy.engine, self.alignment
        if batch.micro == 0:
            engine.open(batch, rows=False)
            alignment.open()
        seen: list[ExampleLosses] = []
        for number, trajectory, first in self._with_first_steps(batch):
            seen += alignment.follow(trajectory, partial(self._losses, number), first)
        if seen:
            engine.add_losses(ExampleLosses.concatenate(seen))
        if last:
            self._conclude(batch.step, alignment.publish())

    @property
    def alignment(self) -> Alignment:
        """The walker over all that is trained and belongs to no plugin."""
        if self._alignment is None:
            strategy = self.strategy
            self._alignment = Alignment(
                _trained(strategy), strategy.engine.collectives, inner_lr=strategy.options.alignment.inner_lr
            )
        return self._alignment

    def _numbered(self, batch: MicroBatch) -> Iterator[tuple[int, Trajectory]]:
        """This rank's trajectories of the micro-batch, numbered over the whole step."""
        strategy, world = self.strategy, self.strategy.engine.collectives.world
        module, alignment = strategy.lightning_module, strategy.options.alignment
        assert module is not None
        micro_batches = module.trainer.accumulate_grad_batches
        total = num_trajectories(
            alignment,
            batch_rows=batch.num_rows * world.size * micro_batches,
            processes=world.size,
            micro_batches=micro_batches,
        )
        count = total // (world.size * micro_batches)
        first = (batch.micro * world.size + world.rank) * count
        if alignment.tasks == "user":
            found = user_tasks(batch, count, alignment.inner_steps)
        else:
            found = stratum_tasks(batch, count, lambda number: mix(strategy.options.seed, batch.step, first + number))
        return enumerate(found, start=first)

    def _with_first_steps(self, batch: MicroBatch) -> Iterator[_Way]:
        """Every trajectory with its first step, where a pass yields those of many."""
        numbered = list(self._numbered(batch))
        if self._first_steps is None:
            self._first_steps = FirstSteps(self.alignment.parameters)
        at_once = self._first_steps.at_once
        if not self._batches or min(at_once, len(numbered)) == 1 or not can_segment(batch):
            yield from ((number, trajectory, None) for number, trajectory in numbered)
            return
        for start in range(0, len(numbered), at_once):
            yield from self._of_one_pass(numbered[start : start + at_once], self._first_steps)

    def _of_one_pass(self, chosen: Sequence[tuple[int, Trajectory]], take: FirstSteps) -> Iterator[_Way]:
        chosen = [(number, way) for number, way in chosen if way]
        if not chosen:
            return
        strategy, keys, tasks = self.strategy, [(number, 0) for number, _ in chosen], [way[0] for _, way in chosen]
        seed = strategy.stratified_module.seed_dropout
        found = take(tasks, lambda joined: strategy.bare_losses(joined, keys[0]), lambda place: seed(tasks[place], keys[place]))
        yield from ((number, way, first) for (number, way), first in zip(chosen, found, strict=True))

    @property
    def _batches(self) -> bool:
        """Whether tasks may share a pass."""
        return self.strategy.options.source != "split" and segments_obstacle(self.strategy.lightning_module) is None

    def _losses(self, trajectory: int, task: MicroBatch, step: int) -> ExampleLosses:
        return self.strategy.bare_losses(task, (trajectory, step))

    def _conclude(self, step: int, norm: torch.Tensor) -> None:
        """See that there is a step to take; the same on every rank, because the norm is."""
        strategy, engine = self.strategy, self.strategy.engine
        nothing_K = torch.full((engine.num_strata,), torch.nan, dtype=torch.float64)
        engine.report = StepReport(step, engine.global_counts(), nothing_K, None)
        if engine.is_empty():
            strategy.skip_step()
        elif not norm.isfinite():
            strategy.on_nonfinite(step)


def _trained(strategy: StrategyForModes) -> list[nn.Parameter]:
    assert strategy.lightning_module is not None
    named = strategy.lightning_module.named_parameters()
    return [
        parameter for name, parameter in named if parameter.requires_grad and strategy.stratified_module.plugin_of(name) is None
    ]
