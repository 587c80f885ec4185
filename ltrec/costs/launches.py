"""Operations that a step launches: one table of counted numbers, the only one.

Counted with a SASRec of one to three blocks, K = 2 and 5, on the CPU, with dropout: every operation of a step, forward, backward,
optimiser and Lightning's, that is neither a view nor an allocation. `tests/unit/costs/test_counted_launches.py` counts again and
holds the table; change the numbers here when the mechanics of a mode change.

    passes x (backbone + objective) + step                passes: 1, or K by stratum, for each micro-batch

A rectangle of rows is a unit of attention (`ltrec.models.layout`): on the CPU rows are put into a few rectangles by length; an
accelerator has one, with attention, mask and dropout in one kernel. Not counted: accelerators, in_batch, gbce, alignment of DIN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ltrec.costs.workload import Workload, of_rank


@dataclass(frozen=True, slots=True)
class Network:
    """Operations of a forward and backward pass of a backbone.

    Attributes:
        once: whatever its depth.
        layer: for each layer.
        group_once: for each rectangle of rows.
        group: for each layer and rectangle.
        time: for each layer and position of the longest row (recurrent networks, step by step on the CPU).
    """

    once: int
    layer: int
    group_once: int = 0
    group: int = 0
    time: int = 0


NETWORKS = {
    "sasrec": Network(once=25, layer=73, group_once=11, group=22),
    "gru4rec": Network(once=60, layer=0, time=24),
    "din": Network(once=88, layer=8),
}
OTHER_NETWORK = NETWORKS["sasrec"]

ON_ACCELERATOR = {"sasrec": Network(once=25, layer=73, group=4), "gru4rec": Network(once=60, layer=12)}
"""Backbones with other kernels there; not counted."""

OBJECTIVES = {"softmax": 18, "sampled_softmax": 80, "in_batch": 75, "bce": 91, "gbce": 93}
OTHER_OBJECTIVE = 80

OWN_NEGATIVES = 10
"""More operations where each position has negatives of its own."""


@dataclass(frozen=True, slots=True)
class ModeLaunches:
    """Operations of a mode besides its passes.

    Attributes:
        once: for each step: optimiser, counts, telemetry.
        part: for each pass of a stratum, or inner step.
        touched: more, where gradients are of touched rows.
        touched_part: more of those, for each stratum.
    """

    once: int
    part: int = 0
    touched: int = 60
    touched_part: int = 0


STEPS = {
    "joint": ModeLaunches(once=13),
    "weighted": ModeLaunches(once=48),
    "per_stratum": ModeLaunches(once=69, part=16, touched=58, touched_part=3),
    "replay": ModeLaunches(once=110, part=16, touched=58, touched_part=3),
    "aligned": ModeLaunches(once=45, part=26),
}

SEGMENTS = ModeLaunches(once=130, part=11, touched=58, touched_part=3)
"""The mode `per_stratum` where the gradients of all strata come from one pass (`gradients.source=segments`)."""

SEGMENT_OF_LAYER = 20
"""On the CPU, more of each layer and stratum: sums are taken stratum by stratum there."""

GRAM = 43
"""More operations of a step that computes a Gram matrix."""

FIRST_STEP, NEXT_STEP = 30, 2
"""Of `aligned`, for each trajectory: if its first inner step shares a pass; besides one for each tensor, if another follows."""

COLUMNS, ACCELERATOR_COLUMNS, FOR_COLUMNS = 1 << 15, 1 << 20, 4
"""Norms and Gram matrix are summed over blocks of so many columns (`ltrec.distributed.gram`), by so many operations each."""

LAZY, AVERAGE = 40, 10
"""More operations of an optimiser by rows; where weights are averaged."""


def launches(work: Workload, world: int, *, accelerator: bool) -> float:
    """Operations of an average step on one device.

    Args:
        work: of a step.
        world: W.
        accelerator: whether kernels are an accelerator's.
    """
    step = SEGMENTS if _by_segments(work) else STEPS[work.mode]
    found: float = step.once + LAZY * work.by_row + AVERAGE * work.average
    if work.touched is not None:
        found += step.touched + step.touched_part * work.strata
    if work.mode == "aligned":
        return found + work.accumulate * _inner_steps(work, accelerator)
    if work.mode != "per_stratum":
        found += work.accumulate * _pass(work, accelerator, work.groups)
    return found + _strata(work, world, accelerator)


def _by_segments(work: Workload) -> bool:
    return work.mode == "per_stratum" and work.source == "segments"


def _inner_steps(work: Workload, accelerator: bool) -> float:
    """Those of a micro-batch: tasks are short, and need no rectangles in which to lie."""
    shared = work.trajectories if work.first_passes else 0
    found = (work.inner_steps - shared) * (_pass(work, accelerator, 0) + STEPS["aligned"].part)
    if work.inner_steps > work.trajectories:
        found += work.trajectories * (work.tensors + NEXT_STEP)
    if shared:
        of_layers = 0 if accelerator else SEGMENT_OF_LAYER * work.layers
        passes, groups = work.first_passes, shared / work.first_passes
        found += passes * _pass(work, accelerator, groups) + shared * (FIRST_STEP + of_layers)
    return found


def _strata(work: Workload, world: int, accelerator: bool) -> float:
    """Passes of the strata, norms and Gram matrix; of a probe the share of the steps that have one."""
    if not work.keeps_strata:
        return 0.0
    aside = work.tensors if work.mode != "per_stratum" else 0  # each gradient is added to its row by itself
    part = STEPS["per_stratum"].part + aside
    passes = work.strata * (_pass(work, accelerator, work.groups_of_stratum) + part)
    if _by_segments(work):
        groups, of_layers = work.strata * work.groups_of_stratum, 0 if accelerator else SEGMENT_OF_LAYER * work.layers
        passes = _pass(work, accelerator, groups) + work.strata * (SEGMENTS.part + of_layers)
    elif work.source == "retained":  # one forward pass, a third of the whole; K backward passes
        passes = (1 + 2 * work.strata) / 3 * _pass(work, accelerator, work.groups) + work.strata * part
    columns = ACCELERATOR_COLUMNS if accelerator else COLUMNS
    blocks = FOR_COLUMNS * math.ceil(of_rank(work.gradient, world) / columns)
    often = work.gram_share if work.mode == "weighted" else 1.0
    return often * (work.accumulate * passes + blocks) + GRAM * work.gram_share


def _pass(work: Workload, accelerator: bool, groups: float) -> float:
    """A forward and backward pass."""
    network = NETWORKS.get(work.backbone, OTHER_NETWORK)
    if accelerator:
        network, groups = ON_ACCELERATOR.get(work.backbone, network), 1
    layers = work.layers * (network.layer + groups * network.group + network.time * work.longest)
    objective = OBJECTIVES.get(work.objective, OTHER_OBJECTIVE)
    own = OWN_NEGATIVES * (work.objective == "sampled_softmax" and not work.shared)
    return network.once + groups * network.group_once + layers + objective + own
