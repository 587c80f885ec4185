"""Arithmetic of a step on one device, and the bytes that go through its memory."""

from __future__ import annotations

from dataclasses import dataclass

from ltrec.costs.memory import activations, positions_of_pass, scores, scores_saved
from ltrec.costs.workload import FLOAT, SHARDED_STATES, Workload, of_rank

TABLE_PASSES = {"softmax": 9, "in_batch": 12}
"""Objective -> times that a pass of the loss reads or writes a whole table for its gradient: zeroing, filling, adding up. Each use
of the table (history, targets, negatives) fills a gradient as large as the table, and they are added."""

TABLE_PASSES_OTHERWISE = 12

COMBINED = 3
"""Times that each gradient of a stratum is read or written by reduction, norm and combination."""

ACTIVATION_PASSES, SCORE_PASSES = 4, 6
"""Times that what the forward pass keeps, and the matrix of scores, are read or written, gradients included."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one device does in a step.

    Attributes:
        flops: of matrix products; a multiplication and an addition are two.
        moved: bytes that gradients and optimiser read and write.
        elementwise: bytes that operations on activations and scores read and write.
    """

    flops: float
    moved: float
    elementwise: float


def work_of(work: Workload, world: int) -> Work:
    """Arithmetic and bytes of one device in a step.

    Args:
        work: of a step.
        world: W.
    """
    moved = _optimiser(work, world) + _combination(work, world) + FLOAT * _passes(work) * _tables(work)
    return Work(_products(work, world) + _gram(work, world), moved, _activations(work, world))


def _products(work: Workload, world: int) -> float:
    """Forward and backward pass: three products for each matrix, four where the softmax is computed again."""
    positions = work.positions / world
    runs = work.candidates + 1 if work.candidate_passes else 1
    network = 6 * work.matrices * runs + 12 * work.layers * work.width * work.longest
    whole = FLOAT * positions_of_pass(work, world) * work.candidates
    products = 8 if work.full_softmax and whole > work.keep_bytes else 6
    again = (1 + work.gram_share) if work.mode in ("weighted", "replay") else 1.0  # probes run the model once more
    if work.mode == "per_stratum" and work.source == "retained":
        again = (1 + 2 * work.strata) / 3
    return again * positions * (network + products * work.width * work.candidates)


def _gram(work: Workload, world: int) -> float:
    if not work.keeps_strata:
        return 0.0
    return 2 * work.strata**2 * work.gram_share * of_rank(work.gradient, world)


def _optimiser(work: Workload, world: int) -> float:
    """Weight, gradient and states are read, weight and states written."""
    numbers = of_rank(work.parameters, world) if work.engine in SHARDED_STATES else float(work.parameters)
    if work.by_row and work.touched is not None:
        numbers = 2 * work.gradient  # gathered and put back
    average = 3 * float(work.parameters) if work.average else 0.0
    return FLOAT * ((2 * work.states + 3) * numbers + average)


def _combination(work: Workload, world: int) -> float:
    if not work.keeps_strata or work.mode == "weighted":
        return 0.0
    return FLOAT * COMBINED * work.strata * (of_rank(work.gradient, world) + (work.gradient if world > 1 else 0.0))


def _activations(work: Workload, world: int) -> float:
    """Of all passes together."""
    passes = work.positions / world / positions_of_pass(work, world)
    matrices = SCORE_PASSES / scores_saved(work)
    return passes * (ACTIVATION_PASSES * activations(work, world) + matrices * scores(work, world))


def _passes(work: Workload) -> float:
    """Passes of the loss that fill a gradient of the table."""
    whole = work.accumulate * (work.strata if work.mode in ("per_stratum", "replay") else max(1, work.inner_steps))
    return TABLE_PASSES.get(work.objective, TABLE_PASSES_OTHERWISE) * (whole + (1 if work.mode == "replay" else 0))


def _tables(work: Workload) -> float:
    return work.gradient - work.dense - work.plugins
