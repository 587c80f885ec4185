"""Drive the engine over a window as the strategies do, without Lightning: one function per mode, ten lines each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ltrec.core.batch import SequenceBatch
from ltrec.core.losses import ExampleLosses
from ltrec.core.sumcount import SumCount
from ltrec.distributed.collectives import Collectives
from ltrec.distributed.engine import StratifiedEngine
from ltrec.distributed.report import StepReport
from ltrec.distributed.sources import SOURCES
from ltrec.distributed.stores.flat import FlatStore
from ltrec.distributed.stores.layout import lay_out
from tests.support.threaded import on_ranks
from tests.support.toy_stage import ToyStage, toy_owner
from tests.support.windows import Window

MODES = {"linear": ("per_stratum", "weighted"), "gram": ("per_stratum", "replay"), "coordinate": ("per_stratum",)}
"""What every kind of rule can be run in."""


@dataclass
class Bench:
    """A stage and its engine on one rank."""

    stage: ToyStage
    engine: StratifiedEngine
    mode: str
    spoil: Callable[[ExampleLosses, SequenceBatch], ExampleLosses] | None = None
    probe: bool = False

    def losses(self, batch: SequenceBatch, stratum: int | None) -> ExampleLosses:
        self.stage.seed_dropout(batch, stratum)
        example = self.stage.losses(batch)
        return example if self.spoil is None else self.spoil(example, batch)

    def step(self, batches: list[SequenceBatch]) -> None:
        """One window; every parameter's `.grad` afterwards is the update's gradient."""
        for parameter in self.stage.parameters():
            parameter.grad = None
        if self.mode == "per_stratum":
            self._gathered(batches)
            reads = self.probe or self.engine.rule.kind == "gram"
            known = {"gram_KK": self.engine.gram()} if reads else {"norms_K": self.engine.norms()}
            self.engine.combine(batches[0].step, **known)
            return
        if self.mode == "replay":
            self._gathered(batches, with_losses=False)
            self.engine.decide(batches[0].step, self.engine.gram())
        else:
            probed = self.engine.store is not None
            if probed:
                self._gathered(batches, with_losses=False)
            else:
                self.engine.open(batches[0], rows=False)
            self.engine.decide(batches[0].step, self.engine.gram() if probed else None)
        world = self.engine.collectives.world.size
        for batch in batches:
            example = self.losses(batch, None)
            self.engine.add_losses(example)
            self.engine.weighted_loss(example, times=world).backward()
        self._average(world)
        if self.engine.is_empty():
            for parameter in self.stage.parameters():
                parameter.grad = None

    def _gathered(self, batches: list[SequenceBatch], **options: Any) -> None:
        self.engine.open(batches[0], rows=True)
        for batch in batches:
            self.engine.add_gradients(self.losses, batch, **options)

    def _average(self, world: int) -> None:
        """What DDP does at the end of its backward pass; not counted as the engine's."""
        for parameter in self.stage.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                if world > 1:
                    dist.all_reduce(parameter.grad)
                    parameter.grad.div_(world)

    def gradients(self) -> dict[str, Tensor] | None:
        """By name; None when the optimiser is left nothing to do."""
        found = {name: p.grad for name, p in self.stage.named_parameters() if p.requires_grad}
        if all(grad is None for grad in found.values()):
            return None
        return {name: grad.clone() for name, grad in found.items() if grad is not None}


def bench(
    strata: int,
    rule: Any,
    mode: str,
    *,
    source: str = "split",
    probe: bool = False,
    collectives: Collectives | None = None,
    prior_K: Tensor | None = None,
    spoil: Any = None,
    **stage_options: Any,
) -> Bench:
    """A fresh stage and engine in the current world.

    Args:
        strata: K.
        rule: combines them.
        mode: how.
        source: how a micro-batch yields a loss per stratum.
        probe: form the Gram matrix also where the rule reads none.
        collectives: ordinary ones without.
        prior_K: P(z); the rule's without it.
        spoil: changes losses.
        stage_options: of `ToyStage`.
    """
    stage, collectives = ToyStage(strata, **stage_options), collectives or Collectives()
    layout, ordered = lay_out(list(stage.named_parameters()), toy_owner, strata, collectives.world.size)
    rows = mode != "weighted" or probe
    store = FlatStore(ordered, layout, collectives, strata, aside=mode != "per_stratum") if rows else None
    engine = StratifiedEngine(
        rule=rule,
        prior_K=rule.prior_K if prior_K is None else prior_K,
        collectives=collectives,
        source=SOURCES[source],
        store=store,
    )
    if mode != "per_stratum":
        for name, parameter in stage.named_parameters():
            if (stratum := toy_owner(name)) is not None:
                parameter.register_hook(lambda grad, z=stratum: grad * engine.plugin_factors_K()[z])
    return Bench(stage, engine, mode, spoil, probe)


@dataclass
class Ran:
    """What one rank holds after one window."""

    gradients: dict[str, Tensor] | None
    report: StepReport
    losses: SumCount
    bench: Bench


def ran(
    window: Window, make_rule: Callable[[], Any], mode: str, *, spoil: Callable[[int], Any] = lambda _rank: None, **options: Any
) -> list[Ran]:
    """Run one window on all its ranks (threads), each with its own stage, engine and rule."""

    def on_rank(rank: int) -> Ran:
        made = bench(window.strata, make_rule(), mode, spoil=spoil(rank), **options)
        made.step(window.batches(rank))
        assert made.engine.report is not None
        return Ran(made.gradients(), made.engine.report, made.engine.total_losses(), made)

    return on_ranks(window.world, on_rank)


def spoiled(value: float, stratum: int, rank: int, micro: int = 0) -> Callable[[int], Any]:
    """rank -> a `spoil` that turns one stratum's losses on one rank into `value`, gradients included."""

    def spoil(example: ExampleLosses, batch: SequenceBatch) -> ExampleLosses:
        if batch.micro != micro:
            return example
        factor = torch.where(example.stratum_N == stratum, value, 1.0).to(example.loss_N)
        return example._replace(loss_N=example.loss_N * factor)

    return lambda here: spoil if here == rank else None
