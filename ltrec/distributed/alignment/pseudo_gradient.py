"""Gradient alignment: follow short chains of gradient descent over tasks, and hand the way that they travel to the optimiser.

LTP (KDD 2020; eqs. 5-8 and algorithm 1, with the signs that its text describes), after Reptile (Nichol et al., 2018) and MER
(Riemer et al., ICLR 2019); with domains as tasks it is Fish (Shi et al., ICLR 2022). From the parameters theta, M trajectories each

    theta_1 = theta,   theta_(i+1) = theta_i - alpha g_i,   g_i = gradient of task i's mean loss L_i at theta_i,   i = 1..k

and the optimiser gets the mean over all M of the pseudo-gradient (theta - theta_(k+1)) / (alpha k) = (1/k) sum_i g_i. Taken as a
sum of gradients, it loses no digits to the difference of nearly equal numbers, and the last inner step need not be made at all.

What it descends on (LTP, eq. 8): with gradients G_i and Hessians H_i at theta,

    g_i = G_i - alpha H_i sum_(j<i) G_j + O(alpha^2)

and tasks come in random order, so H_i G_j may be averaged with H_j G_i, and H_i G_j + H_j G_i is the gradient of <G_i, G_j>:

    E[(1/k) sum_i g_i] = gradient of  E (1/k) sum_i [ L_i - (alpha / 2) sum_(j<i) <G_i, G_j> ]  + O(alpha^2)

Losses fall, and tasks are drawn to where their gradients agree: a step for one task then helps another. k = 1 is ordinary
training; the term first exists at k = 2. Of tasks that are independent draws, as users are, the term's mean is that of the mean
gradient with itself, the same that inner steps on the mean loss would give; of strata, which meet every other and never
themselves, it is not.

Over ranks: each rank follows its own trajectories from the same theta, and one all-reduce of the sum makes the mean; the update
does not depend on how many ranks there are. Every step moves every parameter, so each rank needs all of them, unsharded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ltrec.core.losses import ExampleLosses
from ltrec.distributed.alignment.first_steps import FirstStep
from ltrec.distributed.batches import MicroBatch
from ltrec.distributed.collectives import Collectives
from ltrec.distributed.nonfinite import nan_unless_finite

TaskLosses = Callable[[MicroBatch, int], ExampleLosses]
"""(task, number of the inner step from 0) -> its example losses."""


class Alignment:
    """The pseudo-gradient of one step after the other.

    Holds a copy of the parameters and their gradient's sum, allocated once.

    Args:
        parameters: all that are trained; of one dtype, on one device, whole.
        collectives: W ranks.
        inner_lr: alpha.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], collectives: Collectives, *, inner_lr: float) -> None:
        first = parameters[0]
        assert all(p.dtype == first.dtype and p.device == first.device for p in parameters), "one dtype, one device"
        self.parameters: list[Tensor] = list(parameters)
        self.collectives = collectives
        self.inner_lr = inner_lr
        # Sum of the trajectories' mean gradients, then their number: both travel in the one all-reduce.
        sizes = [p.numel() for p in parameters]
        self._flat = first.new_zeros(sum(sizes) + 1)
        parts = torch.split(self._flat, [*sizes, 1])
        self._sums = [part.view_as(p) for part, p in zip(parts, parameters, strict=False)]
        self._start = [torch.empty_like(p) for p in parameters]

    @property
    def extra_bytes(self) -> int:
        """Bytes held beyond the gradient that any training holds."""
        return sum(start.nbytes for start in self._start)

    @torch.no_grad()
    def open(self) -> None:
        """Begin a step: all its trajectories start from the parameters as they are now."""
        self._flat.zero_()
        torch._foreach_copy_(self._start, self.parameters)
        for parameter, total in zip(self.parameters, self._sums, strict=True):
            parameter.grad = total

    def follow(self, trajectory: Sequence[MicroBatch], losses: TaskLosses, first: FirstStep | None = None) -> list[ExampleLosses]:
        """Follow one trajectory and come back to its start. Returns the losses on the way; empty without tasks.

        Args:
            trajectory: its tasks, none empty.
            losses: runs the stage on a task.
            first: what the first task comes to, if that is known; see `first_steps`.
        """
        losses_seen: list[ExampleLosses] = []
        share = 1 / max(1, len(trajectory))
        for number, task in enumerate(trajectory):
            moves = number + 1 < len(trajectory)
            example = first[0] if first is not None and number == 0 else losses(task, number)
            loss = example.mean()
            if first is not None and number == 0:
                self._take(first[1], self.parameters, self._sums, share, moves)
            elif moves:
                self._descend(loss, share)
            else:  # the last step need not be taken: its gradient is added directly
                (loss * share).backward()  # type: ignore[no-untyped-call]
            self._flat[-1] += not moves
            self._flat[-1] += nan_unless_finite(loss.detach())  # an infinite loss may have a finite gradient
            losses_seen.append(example.detach())
        if len(trajectory) > 1:
            self._restore()
        return losses_seen

    def _descend(self, loss: Tensor, share: float) -> None:
        """One inner step."""
        found = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        used = [n for n, gradient in enumerate(found) if gradient is not None]
        gradients = [gradient for gradient in found if gradient is not None]
        self._take(gradients, [self.parameters[n] for n in used], [self._sums[n] for n in used], share, moves=True)

    @torch.no_grad()
    def _take(self, gradients: list[Tensor], parameters: list[Tensor], sums: list[Tensor], share: float, moves: bool) -> None:
        """Add a step's gradient to the sums, and move the parameters if another step follows."""
        if moves:
            torch._foreach_add_(parameters, gradients, alpha=-self.inner_lr)
        torch._foreach_add_(sums, gradients, alpha=share)

    @torch.no_grad()
    def _restore(self) -> None:
        torch._foreach_copy_(self.parameters, self._start)

    def publish(self) -> Tensor:
        """Leave the mean over the trajectories of all ranks and micro-batches in every `.grad`; its norm, a scalar, is returned.

        The norm is not finite, on every rank, when a loss or a gradient was not on any. One all-reduce of the model's size.
        """
        self.collectives.all_reduce(self._flat).wait()
        gradient, count = self._flat[:-1], self._flat[-1]
        gradient /= count.clamp(min=1)
        norm: Tensor = torch.linalg.vector_norm(gradient)
        return norm + nan_unless_finite(count)
