"""RunConfig: one frozen tree that says everything about a run. It only gathers: each section's dataclass lives beside its owner."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ltrec.aggregation import RULE_CONFIGS, BackdoorConfig, RuleConfig
from ltrec.causal.config import CausalConfig
from ltrec.config.variants import Tables
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.stream.config import StreamConfig
from ltrec.distributed.config import StrategyConfig
from ltrec.evaluation.config import EvaluationConfig
from ltrec.models.backbones import BACKBONE_CONFIGS, SASRecConfig
from ltrec.objectives import OBJECTIVE_CONFIGS, ObjectiveConfig, SampledSoftmaxConfig
from ltrec.optim.config import OptimConfig
from ltrec.stages.config import TrainerConfig
from ltrec.tracking.config import TrackingConfig

VARIANTS: Tables = {"model": BACKBONE_CONFIGS, "objective": OBJECTIVE_CONFIGS, "rule": RULE_CONFIGS}
"""Sections whose `name` chooses the dataclass."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Where the prepared data set is."""

    path: str = ""
    """Folder that `ltrec prepare` wrote."""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Everything about a run."""

    name: str = "run"
    """Name of the run and of its folder: letters, digits, `.`, `_` and `-`."""
    seed: int = 0
    """Root of all randomness: initial weights, order of users, windows, negatives, dropout."""
    out: str = "runs"
    """Folder of all run folders."""
    resume: str = "auto"
    """auto: go on from checkpoints/last.ckpt when the run has one; never: start afresh; or the path of a checkpoint."""
    data: DataConfig = field(default_factory=DataConfig)
    """The prepared data set."""
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    """How raw logs become that data set (`ltrec prepare`)."""
    stream: StreamConfig = field(default_factory=StreamConfig)
    """Shards -> batches."""
    model: SASRecConfig = field(default_factory=SASRecConfig)
    """The backbone, chosen by `model.name`."""
    objective: ObjectiveConfig = field(default_factory=SampledSoftmaxConfig)
    """The loss, chosen by `objective.name`."""
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    """How gradients are formed: jointly, or by stratum."""
    causal: CausalConfig = field(default_factory=CausalConfig)
    """Backdoor adjustment: which population, and how it is estimated."""
    rule: RuleConfig = field(default_factory=BackdoorConfig)
    """Strata -> weights, chosen by `rule.name`."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and learning rate."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """The training loop."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """Protocol and statistics of evaluation."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    """Weights & Biases."""

    def __post_init__(self) -> None:
        if not _SAFE_NAME.fullmatch(self.name):
            raise ValueError(
                f"name is {self.name!r}; it names a folder: up to 100 letters, digits, '.', '_' and '-', and not '.' or '-' first"
            )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}; it must be between 0 and {2**32 - 1}")
        for key in ("out", "resume"):
            if not getattr(self, key).strip():
                raise ValueError(f"{key} is empty")
