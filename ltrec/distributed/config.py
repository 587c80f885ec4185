"""What a user may say about how gradients are formed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ltrec.core.bounds import INT32, Between, OneOf, check_fields
from ltrec.distributed.strategies import JOINT, MODES, STRATEGIES

SOURCES = ("auto", "split", "retained")
NONFINITE = ("stop", "skip")


@dataclass(frozen=True, slots=True)
class StrategyConfig:
    """Gradients: of the mean loss (joint), or by stratum and combined by the rule."""

    name: Annotated[str, OneOf(*STRATEGIES)] = JOINT
    """joint: the mean over all targets, Lightning's own strategies. stratified: by stratum, on one device, or DDP under torchrun.
    stratified_ddp, stratified_deepspeed_stage_1, _2, _3, stratified_fsdp2: by stratum, with that engine."""
    mode: Annotated[str, OneOf("auto", *MODES)] = "auto"
    """per_stratum: each stratum's gradient is formed and reduced by itself. weighted: one ordinary backward pass of a weighted
    loss. replay: Gram matrix first, then the weighted pass. aligned: inner steps over users or strata (see `alignment`); with
    plugins until they wake, then per_stratum. auto: per_stratum; on DeepSpeed weighted or replay, by the rule."""
    source: Annotated[str, OneOf(*SOURCES)] = "auto"
    """split: each stratum's rows are run alone. retained: one forward pass, one backward pass per stratum. auto: split unless the
    loss or the model couples the rows of a batch."""
    nonfinite: Annotated[str, OneOf(*NONFINITE)] = "stop"
    """When a gradient is not finite: stop the run, or skip the step; on all ranks alike."""
    probe_every_steps: Annotated[int, Between(0, INT32)] | None = None
    """Where the rule needs no Gram matrix of the strata's gradients: form it every n steps all the same, for telemetry (cosines,
    conflicts); 0 = never. null: 25 in per_stratum, where it costs 2 K^2 operations per parameter; 0 in weighted, where the strata's
    gradients would have to be formed first, another forward and backward pass."""
    check_every_steps: Annotated[int, Between(0, INT32)] = 0
    """For debugging: compare parameters, weights and counts across ranks every n steps and stop at a difference; 0 = never."""

    def __post_init__(self) -> None:
        check_fields(self)
