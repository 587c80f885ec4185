"""Rules that turn strata into weights, or into one gradient: the visible table.

linear      backdoor, uniform, constant, cumulative; group_dro, streaming_dro: one backward pass, every strategy
gram        upgrad, dualproj, pcgrad, cagrad, mgda, imtl_g, aligned_mtl, fairgrad; dot_attention, soft_attention: the strata's
            inner products decide
coordinate  agr_sum: needs all rows

Every command reads this table, few train: a rule is imported when it is built, TorchJD and its solvers when a rule of theirs first
decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ltrec.aggregation.config import (
    AgrSumConfig,
    AlignedMTLConfig,
    BackdoorConfig,
    CAGradConfig,
    ConstantConfig,
    CumulativeConfig,
    DotAttentionConfig,
    DualProjConfig,
    FairGradConfig,
    GroupDROConfig,
    IMTLGConfig,
    MGDAConfig,
    PCGradConfig,
    SoftAttentionConfig,
    StreamingDROConfig,
    UniformConfig,
    UPGradConfig,
)
from ltrec.core.extension.deferred import names_of
from ltrec.core.extension.registry import Registry, Variant

if TYPE_CHECKING:
    from ltrec.aggregation.rule import CoordinateRule, GramRule, LinearRule, Policy, Rule

RuleConfig = (
    BackdoorConfig
    | UniformConfig
    | ConstantConfig
    | CumulativeConfig
    | GroupDROConfig
    | StreamingDROConfig
    | UPGradConfig
    | DualProjConfig
    | PCGradConfig
    | CAGradConfig
    | MGDAConfig
    | IMTLGConfig
    | AlignedMTLConfig
    | FairGradConfig
    | DotAttentionConfig
    | SoftAttentionConfig
    | AgrSumConfig
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow(Variant["Rule"]):
    """A row of `RULES`; `empty` is the policy bound to the prior: counts_K -> weights_K.

    Attributes:
        kind: what a strategy must be able to offer, known before the rule is built.
    """

    offers: ClassVar[tuple[str, ...]] = ("prior_K", "empty")
    needs: tuple[str, ...] = ("empty",)
    kind: Literal["linear", "gram", "coordinate"]


_PRIOR = ("prior_K", "empty")

RULES: Registry[RuleRow] = Registry("gradients.rule.name", RuleRow)
RULES.register("backdoor", kind="linear", config=BackdoorConfig, build="ltrec.aggregation.fixed:backdoor")
RULES.register("uniform", kind="linear", config=UniformConfig, build="ltrec.aggregation.fixed:uniform")
RULES.register("constant", kind="linear", config=ConstantConfig, build="ltrec.aggregation.fixed:constant", needs=_PRIOR)
RULES.register("cumulative", kind="linear", config=CumulativeConfig, build="ltrec.aggregation.fixed:cumulative")
RULES.register("group_dro", kind="linear", config=GroupDROConfig, build="ltrec.aggregation.dro:GroupDRO", needs=_PRIOR)
RULES.register("streaming_dro", kind="linear", config=StreamingDROConfig, build="ltrec.aggregation.dro:StreamingDRO", needs=_PRIOR)
RULES.register("upgrad", kind="gram", config=UPGradConfig, build="ltrec.aggregation.conflict:upgrad")
RULES.register("dualproj", kind="gram", config=DualProjConfig, build="ltrec.aggregation.conflict:dualproj")
RULES.register("pcgrad", kind="gram", config=PCGradConfig, build="ltrec.aggregation.conflict:pcgrad")
RULES.register("cagrad", kind="gram", config=CAGradConfig, build="ltrec.aggregation.conflict:cagrad")
RULES.register("mgda", kind="gram", config=MGDAConfig, build="ltrec.aggregation.conflict:mgda")
RULES.register("imtl_g", kind="gram", config=IMTLGConfig, build="ltrec.aggregation.conflict:imtl_g")
RULES.register("aligned_mtl", kind="gram", config=AlignedMTLConfig, build="ltrec.aggregation.conflict:aligned_mtl")
RULES.register("fairgrad", kind="gram", config=FairGradConfig, build="ltrec.aggregation.conflict:fairgrad")
RULES.register("dot_attention", kind="gram", config=DotAttentionConfig, build="ltrec.aggregation.attention:dot_attention")
RULES.register("soft_attention", kind="gram", config=SoftAttentionConfig, build="ltrec.aggregation.attention:soft_attention")
RULES.register("agr_sum", kind="coordinate", config=AgrSumConfig, build="ltrec.aggregation.agr_sum:AgrSum")

if not TYPE_CHECKING:
    __getattr__ = names_of(
        __name__, dict.fromkeys(["CoordinateRule", "GramRule", "LinearRule", "Policy", "Rule"], "ltrec.aggregation.rule")
    )

__all__ = [
    "RULES",
    "BackdoorConfig",
    "CoordinateRule",
    "GramRule",
    "LinearRule",
    "Policy",
    "Rule",
    "RuleConfig",
    "RuleRow",
]
