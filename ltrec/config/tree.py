"""RunConfig: one frozen tree that says everything about a run. It only gathers: each section's dataclass lives beside its owner."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated

from ltrec.aggregation import RULES, BackdoorConfig, RuleConfig
from ltrec.causal.config import CausalConfig
from ltrec.config.variants import Tables
from ltrec.core.bounds import Between, check_fields
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.stream.config import StreamConfig
from ltrec.distributed.alignment.config import AlignmentConfig
from ltrec.distributed.config import StrategyConfig
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.memory.config import MemoryConfig
from ltrec.models.backbones import BACKBONES, BackboneConfig, SASRecConfig
from ltrec.models.plugins import PLUGINS, NoPluginConfig, PluginConfig
from ltrec.objectives import OBJECTIVES, ObjectiveConfig, SampledSoftmaxConfig
from ltrec.objectives.adversary import AdversaryConfig
from ltrec.objectives.emphasis import EMPHASES, EmphasisConfig, PlainConfig
from ltrec.optim.build import OPTIMIZERS
from ltrec.optim.config import AdamWConfig, OptimConfig
from ltrec.tracking.config import TrackingConfig
from ltrec.training.config import TrainerConfig
from ltrec.training.switch_config import SwitchConfig

DIGEST = "{digest}"
"""In a name: eight hex digits of the run's settings (`ltrec/config/identity.py`)."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


def variants() -> Tables:
    """Sections whose `name` chooses the dataclass, with all names that are registered by now."""
    return {
        "model": BACKBONES.configs(),
        "plugin": {**PLUGINS.configs(), "memory": MemoryConfig},
        "plugin.trained": PLUGINS.configs(),
        "objective": OBJECTIVES.configs(),
        "emphasis": EMPHASES.configs(),
        "rule": RULES.configs(),
        "optim": OPTIMIZERS.configs(),
    }


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Where the prepared data set is."""

    path: str = ""
    """Folder that `ltrec prepare` wrote."""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Everything about a run."""

    name: str = f"run-{DIGEST}"
    """Name of the run and of its folder: letters, digits, `.`, `_` and `-`; `{digest}` becomes eight hex digits of the settings."""
    seed: Annotated[int, Between(0, 2**32 - 1)] = 0
    """Root of all randomness: initial weights, order of users, windows, negatives, dropout."""
    out: str = "runs"
    """Folder of all run folders."""
    resume: str = "auto"
    """auto: go on from checkpoints/last.ckpt when the run has one; never: refuse to; or the path of a checkpoint."""
    imports: tuple[str, ...] = ()
    """Modules from outside that register backbones, rules, metrics, ...: dotted names, as after Python's `import`. Files add up."""
    init_from: str = ""
    """A run folder (its best checkpoint) or a checkpoint whose trunk this run starts from, as a new run; empty = fresh weights."""
    data: DataConfig = field(default_factory=DataConfig)
    """The prepared data set."""
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    """How raw logs become that data set (`ltrec prepare`)."""
    stream: StreamConfig = field(default_factory=StreamConfig)
    """Shards -> batches."""
    model: BackboneConfig = field(default_factory=SASRecConfig)
    """The backbone, chosen by `model.name`."""
    plugin: PluginConfig | MemoryConfig = field(default_factory=NoPluginConfig)
    """What is added to the trunk, chosen by `plugin.name`: networks per stratum in the second stage, or a memory after training."""
    switch: SwitchConfig = field(default_factory=SwitchConfig)
    """From the first stage to the second; only with plugins."""
    objective: ObjectiveConfig = field(default_factory=SampledSoftmaxConfig)
    """The loss, chosen by `objective.name`."""
    emphasis: EmphasisConfig = field(default_factory=PlainConfig)
    """Which examples count for more, judged by their loss, chosen by `emphasis.name`."""
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    """A discriminator between head and tail users, behind a gradient reversal."""
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    """How gradients are formed: jointly, or by stratum."""
    causal: CausalConfig = field(default_factory=CausalConfig)
    """Backdoor adjustment: which population, and how it is estimated."""
    rule: RuleConfig = field(default_factory=BackdoorConfig)
    """Strata -> weights, chosen by `rule.name`."""
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    """Inner and outer updates; only with strategy.mode=aligned."""
    optim: OptimConfig = field(default_factory=AdamWConfig)
    """Optimiser, chosen by `optim.name`, and learning rate."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """The training loop."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """Protocol and statistics of evaluation."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    """Weights & Biases."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not _SAFE_NAME.fullmatch(self.name.replace(DIGEST, "01234567")):
            raise ValueError(
                f"name is {self.name!r}; it names a folder: up to 100 letters, digits, '.', '_' and '-', and not '.' or '-' first"
            )
        for key in ("out", "resume"):
            if not getattr(self, key).strip():
                raise ValueError(f"{key} is empty")

    @property
    def trained_plugin(self) -> PluginConfig:
        """The plugin that training knows: `plugin`, or the one beneath a memory, which training does not know."""
        return self.plugin.trained if isinstance(self.plugin, MemoryConfig) else self.plugin

    @property
    def trained_plugin_key(self) -> str:
        """The setting that chooses it, for messages."""
        return "plugin.trained.name" if isinstance(self.plugin, MemoryConfig) else "plugin.name"

    @property
    def memory(self) -> MemoryConfig | None:
        """The memory beside the network, if there is one."""
        return self.plugin if isinstance(self.plugin, MemoryConfig) else None
