"""The ways of forming a window's gradient, one class each, and their table.

per_stratum   K backward passes, K gradients, combined by the engine
weighted      one ordinary backward pass of the weighted loss, through whatever wraps the module
replay        K backward passes for the Gram matrix alone, then the weighted pass
aligned       inner steps over users or strata, one after the other (`aligned`)

A mode sees a strategy as a `Host`, and lives as long as it does.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim import Optimizer

from ltrec.core.batch import SequenceBatch
from ltrec.strategy.aligned import Aligned
from ltrec.strategy.host import Host, Mode


class PerStratum:
    """The literal method. The Gram matrix is formed for rules that read it, and every n steps for telemetry."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def form(self, batch: SequenceBatch, last: bool, optimizer: Optimizer | None) -> None:
        """Gather the rows; combine them at the window's end."""
        host = self.host
        if batch.micro == 0:
            host.engine.open(batch, rows=True)
        host.engine.gather(host.losses, batch, scale=host.scale)
        if not last:
            return
        reads = host.options.rule.kind == "gram" or probing(host, "per_stratum", batch.step)
        gram_KK = host.engine.gram(host.scaling) if reads else None
        norms_K = host.engine.norms(host.scaling) if gram_KK is None else None
        if all(numbers is None or numbers.isfinite().all() for numbers in (gram_KK, norms_K)):
            host.engine.combine(batch.step, gram_KK, norms_K)
            host.conclude(batch.step, checked=True)
        else:
            host.meet_nonfinite(batch.step)


class Weighted:
    """One pass, for rules whose weights need no gradient. A probe looks at the gradients every n steps, for telemetry only."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def form(self, batch: SequenceBatch, last: bool, optimizer: Optimizer | None) -> None:
        """Decide at the window's start, and once more at its end when a probe has a Gram matrix to report."""
        host = self.host
        looks = probing(host, "weighted", batch.step)
        if batch.micro == 0:
            host.engine.open(batch, rows=looks)
        if looks:
            look(host, batch)
        gram_KK = host.engine.gram() if looks and last else None
        if batch.micro == 0 or last:
            host.engine.decide(batch.step, gram_KK)
        weighted_pass(host, batch, last, optimizer)


class Replay:
    """The Gram matrix first. The window's micro-batches are kept for that: they are item ids, small."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._window: list[SequenceBatch] = []

    def form(self, batch: SequenceBatch, last: bool, optimizer: Optimizer | None) -> None:
        """Keep the micro-batch; at the window's end look at all of them, then train on all of them."""
        host = self.host
        host.announce(False)
        self._window.append(batch)
        if not last:
            return
        window, self._window = self._window, []
        host.engine.open(window[0], rows=True)
        for kept in window:
            look(host, kept)
        host.engine.decide(batch.step, _usable(host.engine.gram()))
        for number, kept in enumerate(window, start=1):
            weighted_pass(host, kept, number == len(window), optimizer)


def _usable(gram_KK: Tensor) -> Tensor:
    """The matrix, or where it is not finite one that a rule can bear: the losses are as bad, and are met after the pass."""
    return gram_KK if gram_KK.isfinite().all() else torch.eye(len(gram_KK), dtype=torch.float64)


def probing(host: Host, mode: str, step: int) -> bool:
    """Whether it is a step's turn to form a Gram matrix that no rule reads."""
    every = host.options.probe_interval(mode)
    return every > 0 and (step + 1) % every == 0


def look(host: Host, batch: SequenceBatch) -> None:
    """Form a micro-batch's gradients before the pass that trains on it, and leave no trace."""
    with host.looking():
        host.engine.gather(host.bare_losses, batch, remember=False)


def weighted_pass(host: Host, batch: SequenceBatch, last: bool, optimizer: Optimizer | None) -> None:
    """One ordinary backward pass of the weighted loss, through whatever wraps the module."""
    host.announce(last)
    example = host.losses(batch, None)
    host.engine.remember(example)
    loss = host.engine.weighted_loss(example, times=host.averages_over)
    host.engine_backward(host.scale(host.with_all_plugins(loss)), optimizer)
    if last:
        host.conclude(batch.step, checked=False)


MODES_OF_FORMING: dict[str, Callable[[Host], Mode]] = {
    "per_stratum": PerStratum,
    "weighted": Weighted,
    "replay": Replay,
    "aligned": Aligned,
}
"""name -> mode, made for a strategy."""
