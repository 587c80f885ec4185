"""Options of gradients: of the mean loss (joint), by stratum and combined (stratified), or of a walk (aligned)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from ltrec.aggregation import BackdoorConfig, RuleConfig
from ltrec.causal.config import DefaultPriorConfig, PriorConfig
from ltrec.core.bounds import INT32, Between, check_fields
from ltrec.distributed.alignment.config import AlignmentConfig

Mode = Literal["auto", "per_stratum", "weighted", "replay"]
Source = Literal["auto", "split", "retained", "segments"]
Rows = Literal["auto", "all", "touched"]
Nonfinite = Literal["stop", "skip"]
Empty = Literal["renormalize", "drop", "inverse_presence", "error"]
Estimator = Literal["hajek", "horvitz_thompson"]


@dataclass(frozen=True, slots=True)
class CombinationConfig:
    """P(G|do(D)) = sum_z P(G|D, z) P(z): which population P, how the sum is estimated from a step, and which rule weighs."""

    prior: PriorConfig = field(default_factory=DefaultPriorConfig)
    """P(z), the share of each activity stratum, chosen by `prior.name`."""
    estimator: Estimator = "hajek"
    """`hajek`: means over the examples that came. `horvitz_thompson`: sums over the number expected: unbiased, noisier."""
    empty: Empty = "renormalize"
    """When a step holds no example of a stratum: `renormalize` the others' weights, `drop` its share, `inverse_presence` (drop, and
    divide each weight by how often its stratum is there: unbiased, noisier), or `error`."""
    rule: RuleConfig = field(default_factory=BackdoorConfig)
    """Strata -> weights, chosen by `rule.name`."""
    source: Source = "auto"
    """split: each stratum's rows are run alone. segments: one forward and one backward pass, in which weight gradients are computed
    by stratum. retained: one forward pass, one backward pass per stratum. auto: retained if the loss or the model couples the rows
    of a batch, segments where the model allows it (DIN: on a GPU; GRU4Rec: on a CPU), else split."""
    probe_every_steps: Annotated[int, Between(0, INT32)] | None = None
    """Where the rule needs no Gram matrix of the strata's gradients: compute it every n steps all the same, for telemetry (cosines,
    conflicts); 0 = never. null: 25 in per_stratum, where it costs 2 K^2 operations per parameter; 0 in weighted, where the strata's
    gradients would have to be computed first, another forward and backward pass."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.estimator == "horvitz_thompson" and self.empty != "renormalize":
            raise ValueError(f"empty={self.empty} has no effect with estimator=horvitz_thompson; leave it out")
        if self.estimator == "horvitz_thompson" and not isinstance(self.rule, BackdoorConfig):
            raise ValueError(
                f"estimator=horvitz_thompson is an estimate of backdoor adjustment, and rule.name={self.rule.name} would bend it; "
                "use rule.name=backdoor with a prior, or estimator=hajek"
            )


@dataclass(frozen=True, slots=True)
class JointConfig:
    """The gradient of the mean over all targets."""

    name: str = "joint"
    """The variant."""
    rows: Rows = "auto"
    """Which rows of the item table have a gradient in a step: `all`, or those `touched` by its items and negatives. The update is
    the same, the cost is not; auto: touched if they are few."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class StratifiedConfig(CombinationConfig):
    """A gradient for each activity stratum, and one of them all by prior and rule."""

    name: str = "stratified"
    """The variant."""
    mode: Mode = "auto"
    """per_stratum: each stratum's gradient is computed and reduced by itself. weighted: one ordinary backward pass of a weighted
    loss. replay: Gram matrix first, then the weighted pass. auto: per_stratum; on DeepSpeed weighted or replay, by the rule."""
    nonfinite: Nonfinite = "stop"
    """When a gradient is not finite: stop the run, or skip the step; on all ranks alike."""
    rows: Rows = "auto"
    """Which rows of the item table have a gradient in a step: `all`, or those `touched` by its items and negatives. The update is
    the same, the cost is not; auto: touched if they are few."""


@dataclass(frozen=True, slots=True)
class AlignedConfig(AlignmentConfig):
    """Inner steps over users or strata, whose way is the gradient (LTP, Fish)."""

    name: str = "aligned"
    """The variant."""
    nonfinite: Nonfinite = "stop"
    """When the way is not finite: stop the run, or skip the step; on all ranks alike."""
    after_switch: CombinationConfig = field(default_factory=CombinationConfig)
    """Once plugins are awake gradients are computed by stratum, and combined like this."""


GradientsConfig = JointConfig | StratifiedConfig | AlignedConfig

GRADIENTS: dict[str, type[GradientsConfig]] = {"joint": JointConfig, "stratified": StratifiedConfig, "aligned": AlignedConfig}
"""name -> config dataclass."""
