"""Workload: what a step of a run has to do, in numbers. The one input of all estimates."""

from __future__ import annotations

from dataclasses import dataclass

FLOAT, ID = 4, 8
"""Bytes of a number (weights, gradients and optimiser states are float32) and of an id or a count."""

ENGINES = ("one", "ddp", "fsdp2", "deepspeed_stage_1", "deepspeed_stage_2", "deepspeed_stage_3")
"""Who keeps the parameters: one process, replicas, FSDP2, DeepSpeed ZeRO 1 to 3."""

SHARDED_WEIGHTS = ("fsdp2", "deepspeed_stage_3")
SHARDED_STATES = ENGINES[2:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A step over all processes and micro-batches.

    Attributes:
        items: V.
        width: D, of a row of the item table.
        table: trainable numbers of the item table.
        dense: trainable numbers of the rest of the trunk.
        plugins: trainable numbers of plugins.
        matrices: numbers of `dense` and `plugins` that a position is multiplied by.
        tensors: trainable tensors.
        backbone: name of the backbone.
        layers: its blocks or layers.
        heads: attention heads.
        rows: sequences of a step.
        positions: their positions together.
        longest: most positions of a sequence.
        groups: rectangles of rows in attention on the CPU (`ltrec.models.layout`).
        groups_of_stratum: those of a stratum alone.
        objective: name of the loss.
        candidates: items that a position is scored against besides its target.
        shared: whether all positions have the same candidates.
        keep_bytes: of probabilities that full softmax keeps for the backward pass.
        candidate_passes: whether the network runs once for each candidate.
        strata: K.
        largest_stratum: share of the positions in the largest stratum.
        mode: joint, weighted, per_stratum, replay or aligned.
        source: how a micro-batch yields gradients by stratum: split, retained or segments.
        gram_share: share of the steps that compute a Gram matrix.
        gram_rule: whether the rule reads it.
        inner_steps: inner steps of a micro-batch, of all trajectories together (aligned).
        trajectories: of a micro-batch (aligned).
        first_passes: those that the first inner steps of all trajectories share; 0: each has a pass of its own.
        touched: rows with a gradient; None: all of them.
        engine: of `ENGINES`.
        states: numbers that the optimiser keeps for each parameter.
        counts_steps: whether it also keeps a count for each tensor.
        by_row: whether it steps only rows that have a gradient.
        average: whether weights are averaged.
        accumulate: micro-batches of a step.
        half: whether activations have 16 bits.
    """

    items: int
    width: int
    table: int
    dense: int
    plugins: int = 0
    matrices: int
    tensors: int
    backbone: str = "sasrec"
    layers: int = 2
    heads: int = 2
    rows: float
    positions: float
    longest: int
    groups: int = 3
    groups_of_stratum: int = 2
    objective: str = "sampled_softmax"
    candidates: int
    shared: bool = False
    keep_bytes: int = 512 * 2**20
    candidate_passes: bool = False
    strata: int = 5
    largest_stratum: float = 1.0
    mode: str = "joint"
    source: str = "split"
    gram_share: float = 0.0
    gram_rule: bool = False
    inner_steps: int = 0
    trajectories: int = 0
    first_passes: int = 0
    touched: float | None = None
    engine: str = "one"
    states: int = 2
    counts_steps: bool = True
    by_row: bool = False
    average: bool = False
    accumulate: int = 1
    half: bool = False

    @property
    def parameters(self) -> int:
        """All that is trained."""
        return self.table + self.dense + self.plugins

    @property
    def gradient(self) -> float:
        """Numbers of a gradient that is computed, summed over processes and combined: of all rows of the table, or the touched."""
        rows = self.table if self.touched is None else min(float(self.table), self.touched * self.width)
        return rows + self.dense + self.plugins

    @property
    def keeps_strata(self) -> bool:
        """Whether steps compute a gradient for each stratum, always or now and then."""
        return self.mode in ("per_stratum", "replay") or (self.mode == "weighted" and self.gram_share > 0)

    @property
    def runs_strata_alone(self) -> bool:
        """Whether a pass has the rows of one stratum, not all of them."""
        return self.keeps_strata and self.mode != "weighted" and self.source == "split"

    @property
    def full_softmax(self) -> bool:
        """Whether every item is a candidate."""
        return self.objective == "softmax"


def of_rank(total: float, world: int) -> float:
    """An equal part of a number, rounded up as partitions are."""
    return float(-(-int(total) // world)) if world > 1 else float(total)
