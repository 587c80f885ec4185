"""Bytes that one process sends in a step, counted as a ring sends them (`ltrec.distributed.collectives`).

all-reduce 2 r n     reduce-scatter r n     all-gather r n     broadcast r n        r = (W - 1) / W, n = bytes
"""

from __future__ import annotations

from ltrec.costs.distinct import most_distinct
from ltrec.costs.workload import FLOAT, ID, Workload, of_rank


def traffic(work: Workload, world: int) -> dict[str, float]:
    """Message -> bytes.

    Args:
        work: of a step.
        world: W.
    """
    if world == 1:
        return {}
    share = (world - 1) / world
    parts = {
        "gradients by stratum": share * _strata(work, world),
        "gradient": share * _gradient(work, world),
        "weights": share * FLOAT * _padded(work.parameters, world) * _gathers(work),
        "touched ids": share * _ids(work, world),
        "counts, norms": share * _small(work),
    }
    return {name: sent for name, sent in parts.items() if sent}


def messages(work: Workload) -> float:
    """Collectives of a step."""
    strata = work.strata if work.keeps_strata else 0
    touched = 0 if work.touched is None else 2 + (work.mode in ("joint", "weighted", "replay"))
    small = 1 if work.mode == "joint" else 3 + work.gram_rule
    return strata * work.accumulate + _gathers(work) + 1 + touched + small


def _strata(work: Workload, world: int) -> float:
    """A reduce-scatter for each stratum and micro-batch; a probe of `weighted` now and then."""
    if not work.keeps_strata or work.engine not in ("ddp", "fsdp2", "one"):
        return 0.0
    often = work.gram_share if work.mode == "weighted" else 1.0
    return often * work.strata * work.accumulate * FLOAT * _padded(work.gradient, world)


def _gradient(work: Workload, world: int) -> float:
    """One ordinary gradient: an all-reduce, or a reduce-scatter of what stays sharded; by stratum an all-gather of the update."""
    if work.mode == "per_stratum":
        return 0.0 if work.engine == "fsdp2" else FLOAT * _padded(work.gradient, world)
    if work.mode == "aligned":
        return 2 * FLOAT * (work.gradient + 1)
    times = 1 if work.engine != "one" and work.engine != "ddp" else 2
    return times * FLOAT * work.gradient


def _gathers(work: Workload) -> int:
    """All-gathers of the weights."""
    if work.engine == "deepspeed_stage_3":
        return 2  # for the forward pass and again for the backward pass
    return int(work.engine in ("fsdp2", "deepspeed_stage_1", "deepspeed_stage_2"))


def _ids(work: Workload, world: int) -> float:
    """Who touches which rows: their number, then the ids."""
    if work.touched is None:
        return 0.0
    mine = most_distinct(2 * work.positions / world + (work.candidates if work.shared else 0), work.items)
    return 2 * ID * world + ID * world * min(mine, work.touched)


def _small(work: Workload) -> float:
    """Counts; by stratum norms or the Gram matrix, losses, and the weights of a rule that reads it."""
    strata = work.strata
    if work.mode == "joint":
        return 2 * ID * strata
    matrix = work.gram_share * strata * (strata + 1) / 2
    norms = (1 - work.gram_share) * strata if work.mode == "per_stratum" else 0.0
    return ID * (2 * strata + 2 * (matrix + norms) + 2 * strata + strata * work.gram_rule)


def _padded(numbers: float, world: int) -> float:
    return world * of_rank(numbers, world)
