"""Bytes that one device holds during a step, by what they are for."""

from __future__ import annotations

from ltrec.costs.workload import FLOAT, ID, SHARDED_STATES, SHARDED_WEIGHTS, Workload, of_rank

BUCKET = 200_000_000
"""Numbers of DeepSpeed's largest bucket (`ltrec.strategy.deepspeed`)."""

SAVED = {"sasrec": (1.5, 20.0), "gru4rec": (3.0, 14.0), "din": (5.0, 4.0)}
"""Backbone -> numbers per position that wait for the backward pass, in widths: once, and for each layer. With dropout, which
is a third of them; counted; of GRU4Rec with states of twice the width; of DIN for each candidate."""

SAVED_OTHERWISE = SAVED["sasrec"]

SCORES_SAVED = 5
"""Matrices [positions, candidates] of a sampled loss that exist at a time, gradients included; one where candidates are shared."""


def memory(work: Workload, world: int) -> dict[str, float]:
    """What is held -> bytes; parts of zero bytes are left out.

    Args:
        work: of a step.
        world: W.
    """
    parts = {
        "weights": _weights(work, world),
        "gradient": _gradient(work, world),
        "gradients by stratum": stratum_rows(work, world) + second_buffer(work, world),
        "touched rows": _touched(work),
        "optimiser": optimiser(work, world),
        "average": FLOAT * _share(work.parameters, work, world) if work.average else 0.0,
        "activations": activations(work, world),
        "scores": scores(work, world),
    }
    return {name: held for name, held in parts.items() if held}


def stratum_rows(work: Workload, world: int) -> float:
    """K gradients, of which each rank has 1/W."""
    return FLOAT * work.strata * of_rank(work.gradient, world) if work.keeps_strata else 0.0


def second_buffer(work: Workload, world: int) -> float:
    """The gradient that computes while the one before it is sent, or those of all strata from one pass; FSDP2 has a partition."""
    if not work.keeps_strata or world == 1:
        return 0.0
    if work.source == "segments" and work.engine != "fsdp2":
        return FLOAT * work.strata * work.gradient
    return FLOAT * (of_rank(work.gradient, world) if work.engine == "fsdp2" else work.gradient)


def optimiser(work: Workload, world: int) -> float:
    """States of the parameters; ZeRO 1 and 2 step on a copy of their partition."""
    copies = work.states + (work.engine in ("deepspeed_stage_1", "deepspeed_stage_2", "deepspeed_stage_3"))
    return FLOAT * (copies * _share(work.parameters, work, world) + work.tensors * work.counts_steps)


def activations(work: Workload, world: int) -> float:
    """What the forward pass keeps for the backward pass, of the largest pass."""
    once, by_layer = SAVED.get(work.backbone, SAVED_OTHERWISE)
    wide = work.width * (once + by_layer * work.layers)
    candidates = work.candidates + 1 if work.candidate_passes else 1
    return positions_of_pass(work, world) * wide * candidates * (2 if work.half else FLOAT)


def scores(work: Workload, world: int) -> float:
    """Scores of positions against candidates, and what is computed from them."""
    matrix = FLOAT * positions_of_pass(work, world) * work.candidates
    return min(matrix, float(work.keep_bytes)) if work.full_softmax else scores_saved(work) * matrix


def scores_saved(work: Workload) -> int:
    """Matrices of scores that exist at a time."""
    return 1 if work.full_softmax or work.shared or work.objective == "in_batch" else SCORES_SAVED


def positions_of_pass(work: Workload, world: int) -> float:
    """Positions of one forward pass on one device."""
    alone = work.largest_stratum if work.runs_strata_alone else 1.0
    return alone * work.positions / (world * work.accumulate)


def _share(numbers: float, work: Workload, world: int) -> float:
    return of_rank(numbers, world) if work.engine in SHARDED_STATES else numbers


def _weights(work: Workload, world: int) -> float:
    """All of them in a step; sharded ones are kept as a partition beside that."""
    partition = of_rank(work.parameters, world) if work.engine in SHARDED_WEIGHTS else 0.0
    return FLOAT * (work.parameters + partition)


def _gradient(work: Workload, world: int) -> float:
    """The gradient that any training holds."""
    whole = float(work.parameters)
    if work.engine == "fsdp2":
        return FLOAT * (2 * whole + of_rank(whole, world))  # as it appears, as it is sent, and this rank's partition
    if work.engine in ("deepspeed_stage_2", "deepspeed_stage_3"):
        return FLOAT * (of_rank(whole, world) + min(BUCKET, whole))
    if work.mode != "per_stratum":
        return FLOAT * whole
    table = 0.0 if work.touched is None else float(work.table)
    return FLOAT * (table + (work.gradient if world > 1 else 0.0))  # one process: row 0 becomes the gradient


def _touched(work: Workload) -> float:
    """The rows and, unless they are among those of the strata, their gradient; the place of every item."""
    if work.touched is None:
        return 0.0
    copies = 1 if work.mode == "per_stratum" else 2
    return FLOAT * copies * work.touched * work.width + ID * (work.items + 1)
