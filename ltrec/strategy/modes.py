"""The ways of forming a window's gradient, one class each, and their table.

per_stratum   K backward passes, K gradients, combined by the engine
weighted      one ordinary backward pass of the weighted loss, through whatever wraps the module
replay        K backward passes for the Gram matrix alone, then the weighted pass
aligned       inner steps over users or strata, one after the other (`aligned`)

A mode sees a strategy as a `StrategyForModes`, and lives as long as it does.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from ltrec.core.batch import SequenceBatch
from ltrec.strategy.aligned import Aligned
from ltrec.strategy.protocols import GradientMode, StrategyForModes


class PerStratum:
    """The literal method. The Gram matrix is formed for rules that read it, and every n steps for telemetry."""

    def __init__(self, strategy: StrategyForModes) -> None:
        self.strategy = strategy

    def compute_gradients(self, batch: SequenceBatch, last: bool, optimizer: Optimizer | None) -> None:
        """Gather the rows; combine them at the window's end."""
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
            strategy.finish_step(batch.step, checked=True)
        else:
            strategy.on_nonfinite(batch.step)


class Weighted:
    """One pass, for rules whose weights need no gradient. A probe probes at the gradients every n steps, for telemetry only."""

    def __init__(self, strategy: StrategyForModes) -> None:
        self.strategy = strategy

    def compute_gradients(self, batch: SequenceBatch, last: bool, optimizer: Optimizer | None) -> None:
        """Decide at the window's start, and once more at its end when a probe has a Gram matrix to report."""
        strategy = self.strategy
        probes = is_probe_step(strategy, "weighted", batch.step)
        if batch.micro == 0:
            strategy.engine.open(batch, rows=probes)
        if probes:
            probe_micro_batch(strategy, batch)
        gram_KK = strategy.engine.gram() if probes and last else None
        if batch.micro == 0 or last:
            strategy.engine.decide(batch.step, gram_KK)
        weighted_pass(strategy, batch, last, optimizer)


class Replay:
    """The Gram matrix first. The window's micro-batches are kept for that: they are item ids, small."""

    def __init__(self, strategy: StrategyForModes) -> None:
        self.strategy = strategy
        self._window: list[SequenceBatch] = []

    def compute_gradients(self, batch: SequenceBatch, last: bool, optimizer: Optimizer | None) -> None:
        """Keep the micro-batch; at the window's end look at all of them, then train on all of them."""
        strategy = self.strategy
        strategy.set_last_micro_batch(False)
        self._window.append(batch)
        if not last:
            return
        window, self._window = self._window, []
        strategy.engine.open(window[0], rows=True)
        for kept in window:
            probe_micro_batch(strategy, kept)
        strategy.engine.decide(batch.step, _usable(strategy.engine.gram()))
        for number, kept in enumerate(window, start=1):
            weighted_pass(strategy, kept, number == len(window), optimizer)


def _usable(gram_KK: Tensor) -> Tensor:
    """The matrix, or where it is not finite one that a rule can bear: the losses are as bad, and are met after the pass."""
    return gram_KK if gram_KK.isfinite().all() else torch.eye(len(gram_KK), dtype=torch.float64)


def is_probe_step(strategy: StrategyForModes, mode: str, step: int) -> bool:
    """Whether it is a step's turn to form a Gram matrix that no rule reads."""
    every = strategy.options.probe_interval(mode)
    return every > 0 and (step + 1) % every == 0


def probe_micro_batch(strategy: StrategyForModes, batch: SequenceBatch) -> None:
    """Form a micro-batch's gradients before the pass that trains on it, and leave no trace."""
    with strategy.probe():
        strategy.engine.add_gradients(strategy.bare_losses, batch, with_losses=False)


def weighted_pass(strategy: StrategyForModes, batch: SequenceBatch, last: bool, optimizer: Optimizer | None) -> None:
    """One ordinary backward pass of the weighted loss, through whatever wraps the module."""
    strategy.set_last_micro_batch(last)
    example = strategy.losses(batch, None)
    strategy.engine.add_losses(example)
    loss = strategy.engine.weighted_loss(example, times=strategy.gradient_divisor)
    strategy.engine_backward(strategy.scale(strategy.with_all_plugins(loss)), optimizer)
    if last:
        strategy.finish_step(batch.step, checked=False)


GRADIENT_MODES: dict[str, Callable[[StrategyForModes], GradientMode]] = {
    "per_stratum": PerStratum,
    "weighted": Weighted,
    "replay": Replay,
    "aligned": Aligned,
}
"""name -> mode, made for a strategy."""
