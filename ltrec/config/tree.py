"""RunConfig: one frozen tree that says everything about a run. It only gathers: each section's dataclass lives beside its owner."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated

from ltrec.aggregation import RULES
from ltrec.causal.priors import PRIORS
from ltrec.columns.kinds import COLUMN_KINDS
from ltrec.config.variants import Tables
from ltrec.core.bounds import Between, check_fields
from ltrec.core.errors import UserError
from ltrec.core.secrets import masked
from ltrec.core.storage.remote.url import checked_url, is_url
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.remote.config import CacheConfig
from ltrec.data.stream.config import StreamConfig
from ltrec.distributed.config import StrategyConfig
from ltrec.distributed.gradients_config import (
    GRADIENTS,
    AlignedConfig,
    CombinationConfig,
    GradientsConfig,
    JointConfig,
    StratifiedConfig,
)
from ltrec.distributed.strategies import JOINT, STRATIFIED
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.memory.config import MemoryConfig
from ltrec.models.backbones import BACKBONES, BackboneConfig, SASRecConfig
from ltrec.models.inputs.config import InputsConfig
from ltrec.models.plugins import PLUGINS, NoPluginConfig, PluginConfig
from ltrec.models.plugins.switch_config import SwitchConfig
from ltrec.objectives import OBJECTIVES, ObjectiveConfig, SampledSoftmaxConfig
from ltrec.objectives.config import AdversaryConfig
from ltrec.objectives.emphasis import EMPHASES, EmphasisConfig, PlainConfig
from ltrec.optim import OPTIMIZERS
from ltrec.optim.config import AdamWConfig, OptimConfig
from ltrec.tracking.config import TrackingConfig
from ltrec.training.config import TrainerConfig

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
        "gradients": GRADIENTS,
        "gradients.prior": PRIORS.configs(),
        "gradients.rule": RULES.configs(),
        "gradients.after_switch.prior": PRIORS.configs(),
        "gradients.after_switch.rule": RULES.configs(),
        "optim": OPTIMIZERS.configs(),
    }


def column_kinds() -> Tables:
    """Fields of sections by name, each section of a kind, with all kinds that are registered by now."""
    kinds = {name: COLUMN_KINDS[name].config for name in COLUMN_KINDS}
    return {f"prepare.{place}": kinds for place in ("event_columns", "items.columns", "users.columns")}


@dataclass(frozen=True, slots=True)
class DataConfig:
    """The prepared data set."""

    path: str = ""
    """Folder that `ltrec prepare` wrote, or its address in a store: s3://bucket/folder, gs://, hdfs://, or any that fsspec knows.
    Never with credentials."""
    cache: CacheConfig = field(default_factory=CacheConfig)
    """The node's cache of a data set in a store."""

    def __post_init__(self) -> None:
        if is_url(self.path):
            try:
                checked_url(self.path)
            except UserError as error:
                raise ValueError(f"path: {error}") from None


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Everything about a run."""

    name: str = f"run-{DIGEST}"
    """Name of the run and of its folder: letters, digits, `.`, `_` and `-`; `{digest}` becomes eight hex digits of the settings."""
    seed: Annotated[int, Between(0, 2**32 - 1)] = 0
    """Root of all randomness: initial weights, order of users, windows, negatives, dropout."""
    strata: Annotated[int, Between(0, 100)] = 0
    """Activity strata that training tells apart: 0 = as many as the data set has; 2 = tail and head; any other number merges
    neighbours to user shares as equal as can be. Reports keep to the data set's."""
    out: str = "runs"
    """Folder of all run folders."""
    resume: str = "auto"
    """auto: resume from checkpoints/last.ckpt if there is one; never: refuse to; or the path of a checkpoint."""
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
    inputs: InputsConfig = field(default_factory=InputsConfig)
    """Columns that the model sees besides ids."""
    model: BackboneConfig = field(default_factory=SASRecConfig)
    """The backbone, chosen by `model.name`."""
    plugin: PluginConfig | MemoryConfig = field(default_factory=NoPluginConfig)
    """What is added to the trunk, chosen by `plugin.name`: networks per stratum in the second stage, or a memory after training."""
    objective: ObjectiveConfig = field(default_factory=SampledSoftmaxConfig)
    """The loss, chosen by `objective.name`."""
    emphasis: EmphasisConfig = field(default_factory=PlainConfig)
    """Which examples count for more, judged by their loss, chosen by `emphasis.name`."""
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    """A discriminator between head and tail users, behind a gradient reversal."""
    gradients: GradientsConfig = field(default_factory=JointConfig)
    """What gradients are of, chosen by `gradients.name`: the mean loss, the strata's losses, or a walk over users."""
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    """How processes share the work."""
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
        for key in ("out", "resume", "init_from"):
            if is_url(place := getattr(self, key)):
                raise ValueError(f"{key} is {masked(place)}: runs and checkpoints are on a disk, data.path may be in a store")

    @property
    def trained_plugin(self) -> PluginConfig:
        """The plugin that training knows: `plugin`, or the one beneath a memory, which training does not know."""
        return self.plugin.trained if isinstance(self.plugin, MemoryConfig) else self.plugin

    @property
    def trained_plugin_section(self) -> str:
        """Its section in the config, for messages."""
        return "plugin.trained" if isinstance(self.plugin, MemoryConfig) else "plugin"

    @property
    def switch(self) -> SwitchConfig | None:
        """When its plugins wake; None without any."""
        plugin = self.trained_plugin
        return None if isinstance(plugin, NoPluginConfig) else getattr(plugin, "switch", SwitchConfig())

    @property
    def registered_strategy(self) -> str:
        """Gradients and parallelism in one name, that of a row of `ltrec.distributed.strategies`."""
        if isinstance(self.gradients, JointConfig):
            return JOINT
        return STRATIFIED if self.strategy.name == "auto" else f"{STRATIFIED}_{self.strategy.name}"

    @property
    def combination(self) -> CombinationConfig | None:
        """How gradients by stratum are combined, in every step or once plugins wake; None for joint training."""
        if isinstance(self.gradients, AlignedConfig):
            return self.gradients.after_switch
        return self.gradients if isinstance(self.gradients, StratifiedConfig) else None

    @property
    def memory(self) -> MemoryConfig | None:
        """The memory beside the network, if there is one."""
        return self.plugin if isinstance(self.plugin, MemoryConfig) else None
