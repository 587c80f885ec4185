"""Facts about the strata of one optimiser step, for telemetry and tests."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class StepReport:
    """Numbers of one step, float64 on the CPU, equal on every rank.

    Attributes:
        step: global step.
        counts_K: examples per stratum over all ranks and micro-batches.
        weights_K: weight of each stratum's mean gradient; 0 for an empty stratum. All NaN for a rule that works by coordinate,
            and without a rule (mode aligned).
        gram_KK: <G_y, G_z> of the strata's mean gradients over the trunk; rows of empty strata are 0.
            None when the step computed none: the rule needs none, and it was no probe's turn.
        norms_K: |G_z| over the trunk; 0 for an empty stratum. None when the step computed no gradients by stratum.
        effective_K: of how many equally weighted examples each stratum's mean gradient has the variance: (sum m)^2 / sum m^2 with
            the examples' weights m; the counts where there are no weights, or their squares are not known.
    """

    step: int
    counts_K: Tensor
    weights_K: Tensor
    gram_KK: Tensor | None
    norms_K: Tensor | None = None
    effective_K: Tensor | None = None
