"""What to configure: other settings of the same run, each estimated like the run itself, and kept if it helps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ltrec.costs.devices import Device
from ltrec.costs.estimate import StepCost, estimate
from ltrec.costs.workload import Workload

FASTER, SMALLER = 0.9, 0.8
"""Shares of time and of memory below which another setting is worth a line."""


@dataclass(frozen=True, slots=True)
class Way:
    """Another setting.

    Attributes:
        setting: as on the command line.
        applies: (workload, W) -> whether it can be had.
        change: the workload with it.
    """

    setting: str
    applies: Callable[[Workload, int], bool]
    change: Callable[[Workload], Workload]


@dataclass(frozen=True, slots=True)
class Advice:
    """A setting that helps.

    Attributes:
        setting: as on the command line.
        step: seconds of a step with it.
        held: bytes of a device with it.
        fits: whether that fits.
    """

    setting: str
    step: float
    held: float
    fits: bool


WAYS = (
    Way(
        "gradients.mode=weighted (the same update in one pass)",
        lambda work, _: work.mode == "per_stratum" and not work.gram_rule and not work.plugins,
        lambda work: replace(work, mode="weighted", gram_share=0.0),
    ),
    Way(
        "objective.scope=shared (one set of negatives a step)",
        lambda work, _: work.objective == "sampled_softmax" and not work.shared,
        lambda work: replace(work, shared=True, touched=_touched(work, negatives=work.candidates)),
    ),
    Way(
        "objective.name=sampled_softmax objective.scope=shared (another loss)",
        lambda work, _: work.full_softmax,
        lambda work: replace(
            work, objective="sampled_softmax", candidates=256, shared=True, keep_bytes=0, touched=_touched(work, negatives=256)
        ),
    ),
    Way(
        "strategy.name=fsdp2",
        lambda work, world: world > 1 and work.engine == "ddp" and work.mode in ("per_stratum", "weighted"),
        lambda work: replace(work, engine="fsdp2", touched=None),
    ),
    Way(
        "strategy.name=deepspeed_stage_3",
        lambda work, world: world > 1 and work.engine == "ddp" and work.mode == "weighted",
        lambda work: replace(work, engine="deepspeed_stage_3", touched=None),
    ),
    Way(
        "optim.name=lazy_adamw (another optimiser: rows that a step does not touch rest)",
        lambda work, _: work.states == 2 and not work.by_row and work.touched is not None,
        lambda work: replace(work, by_row=True),
    ),
    Way(
        "trainer.accumulate doubled (half of the activations)",
        lambda work, world: work.rows >= 2 * world * work.accumulate,
        lambda work: replace(work, accumulate=2 * work.accumulate),
    ),
)


def advise(work: Workload, device: Device, found: StepCost, *, nodes: int, per_node: int) -> list[Advice]:
    """Settings that save time or, where the run does not fit, memory; the best first.

    Args:
        work: of the run.
        device: of each process.
        found: its estimate.
        nodes: machines.
        per_node: processes on each of them.
    """
    made = []
    for way in WAYS:
        if way.applies(work, found.world):
            other = estimate(way.change(work), device, nodes=nodes, per_node=per_node)
            helps = other.held < SMALLER * found.held if not found.fits(device) else other.step < FASTER * found.step
            made += [Advice(way.setting, other.step, other.held, other.fits(device))] if helps else []
    return sorted(made, key=lambda advice: (not advice.fits, advice.step))


def _touched(work: Workload, negatives: int) -> float | None:
    """Rows with a gradient when a step draws so many negatives: at most those that it reads, and all if that is many."""
    rows = 2 * work.positions + negatives
    if work.engine not in ("one", "ddp") or work.mode == "aligned":
        return None
    return rows if rows <= work.items / 4 else None
