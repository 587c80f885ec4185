"""Gradient modes: the ways to compute a step's gradient, one class each, and their table.

per_stratum   K backward passes, K gradients, combined by the engine
weighted      one ordinary backward pass of the weighted loss, through any wrapper of the module
replay        K backward passes for the Gram matrix alone, then the weighted pass
aligned       inner steps over users or strata, one after the other (`aligned`)

A mode sees its strategy as a `StrategyForModes`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from ltrec.distributed.batches import MicroBatch
from ltrec.strategy.modes.aligned import Aligned
from ltrec.strategy.modes.protocols import GradientMode, StrategyForModes


class PerStratum:
    """The literal method. The Gram matrix is computed for rules that read it, and every n steps for telemetry."""

    def __init__(self, strategy: StrategyForModes) -> None:
        self.strategy = strategy

    def compute_gradients(self, batch: MicroBatch, last: bool, optimizer: Optimizer | None) -> None:
        """Add to the rows; combine them after the step's last micro-batch."""
        strategy = self.strategy
        if batch.micro == 0:
            strategy.engine.open(batch, rows=True)
        strategy.engine.add_gradients(strategy.losses, batch, scale=strategy.scale)
        if not last:
            return
        reads = strategy.options.rule.kind == "gram" or is_probe_step(strategy, "per_stratum", batch.step)
        gram_KK = strategy.engine.gram(strategy.scaling) if reads else None
        norms_K = strategy.engine.norms(strategy.scaling) if gram_KK is None else None
        if all(numbers is None or numbers.isfinite().all() for numbers in (gram_KK, norms_K)):
            strategy.engine.combine(batch.step, gram_KK, norms_K)
            strategy.put_back(summed=True)
            strategy.finish_step(batch.step, checked=True)
        else:
            strategy.on_nonfinite(batch.step)


class Weighted:
    """One pass, for rules whose weights need no gradient. A probe computes gradients by stratum every n steps, for telemetry."""

    def __init__(self, strategy: StrategyForModes) -> None:
        self.strategy = strategy

    def compute_gradients(self, batch: MicroBatch, last: bool, optimizer: Optimizer | None) -> None:
        """Choose the weights in the step's first pass, and once more in its last when a probe has a Gram matrix to report."""
        strategy = self.strategy
        probes = is_probe_step(strategy, "weighted", batch.step)
        if batch.micro == 0:
            strategy.engine.open(batch, rows=probes)
        if probes:
            probe_micro_batch(strategy, batch)
        gram_KK = strategy.engine.gram() if probes and last else None

        def decide() -> None:
            if batch.micro == 0 or last:
                strategy.engine.decide(batch.step, gram_KK)

        weighted_pass(strategy, batch, last, optimizer, decide)


class Replay:
    """The Gram matrix first. The step's micro-batches are kept for that: they are item ids, small."""

    def __init__(self, strategy: StrategyForModes) -> None:
        self.strategy = strategy
        self._kept: list[MicroBatch] = []

    def compute_gradients(self, batch: MicroBatch, last: bool, optimizer: Optimizer | None) -> None:
        """Keep the micro-batch; after the last one probe all of them, then train on all of them."""
        strategy = self.strategy
        strategy.set_last_micro_batch(False)
        if batch.micro == 0:
            self._kept = []
        self._kept.append(batch)
        if not last:
            return
        step, self._kept = self._kept, []
        strategy.engine.open(step[0], rows=True)
        for kept in step:
            probe_micro_batch(strategy, kept)
        strategy.engine.decide(batch.step, _usable(strategy.engine.gram()))
        for number, kept in enumerate(step, start=1):
            weighted_pass(strategy, kept, number == len(step), optimizer)


def _usable(gram_KK: Tensor) -> Tensor:
    """The matrix, or the identity where it is not finite: the losses are not finite either, which is dealt with after the pass."""
    return gram_KK if gram_KK.isfinite().all() else torch.eye(len(gram_KK), dtype=torch.float64)


def is_probe_step(strategy: StrategyForModes, mode: str, step: int) -> bool:
    """Whether it is a step's turn to compute a Gram matrix that no rule reads."""
    every = strategy.options.probe_interval(mode)
    return every > 0 and (step + 1) % every == 0


def probe_micro_batch(strategy: StrategyForModes, batch: MicroBatch) -> None:
    """Compute a micro-batch's gradients by stratum before the pass that trains on it; buffers and `.grad` stay as they are."""
    with strategy.probe():
        strategy.engine.add_gradients(strategy.bare_losses, batch, with_losses=False)


def weighted_pass(
    strategy: StrategyForModes,
    batch: MicroBatch,
    last: bool,
    optimizer: Optimizer | None,
    decide: Callable[[], None] = lambda: None,
) -> None:
    """One ordinary backward pass of the weighted loss, through any wrapper of the module.

    Args:
        strategy, batch, last, optimizer: see `GradientMode`.
        decide: chooses the weights, if that is still to do; the counts that it waits for are under way during the forward pass.
    """
    strategy.set_last_micro_batch(last)
    example = strategy.losses(batch, None)
    decide()
    strategy.engine.add_losses(example)
    loss = strategy.engine.weighted_loss(example, times=strategy.gradient_divisor)
    strategy.engine_backward(strategy.scale(strategy.with_all_plugins(loss)), optimizer)
    if last:
        strategy.put_back(summed=False)
        strategy.finish_step(batch.step, checked=False)


GRADIENT_MODES: dict[str, Callable[[StrategyForModes], GradientMode]] = {
    "per_stratum": PerStratum,
    "weighted": Weighted,
    "replay": Replay,
    "aligned": Aligned,
}
"""name -> mode, made for a strategy."""
