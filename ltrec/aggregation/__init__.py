"""Rules that turn strata into weights, or into one gradient: the visible table.

linear      backdoor, uniform, constant, cumulative; group_dro, streaming_dro: one backward pass, every strategy
gram        upgrad, dualproj, pcgrad, cagrad, mgda, imtl_g, aligned_mtl, fairgrad; dot_attention, soft_attention: the strata's
            inner products decide
coordinate  agr_sum: needs all rows at hand

TorchJD and its solvers are loaded when a rule of theirs first decides: every command reads this table, few train with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ltrec.aggregation.agr_sum import AgrSum, AgrSumConfig
from ltrec.aggregation.attention import DotAttentionConfig, SoftAttentionConfig, dot_attention, soft_attention
from ltrec.aggregation.conflict import (
    AlignedMTLConfig,
    CAGradConfig,
    DualProjConfig,
    FairGradConfig,
    IMTLGConfig,
    MGDAConfig,
    PCGradConfig,
    UPGradConfig,
    aligned_mtl,
    cagrad,
    dualproj,
    fairgrad,
    imtl_g,
    mgda,
    pcgrad,
    upgrad,
)
from ltrec.aggregation.dro import GroupDRO, GroupDROConfig, StreamingDRO, StreamingDROConfig
from ltrec.aggregation.fixed import (
    BackdoorConfig,
    ConstantConfig,
    CumulativeConfig,
    UniformConfig,
    backdoor,
    constant,
    cumulative,
    uniform,
)
from ltrec.aggregation.rule import CoordinateRule, GramRule, LinearRule, Policy, Rule
from ltrec.core.extension.registry import Registry, Variant

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
class RuleRow(Variant[Rule]):
    """A row of `RULES`; `empty` is the policy bound to the prior: counts_K -> weights_K.

    Attributes:
        kind: what a strategy must be able to offer, known before the rule is built.
    """

    offers: ClassVar[tuple[str, ...]] = ("prior_K", "empty")
    needs: tuple[str, ...] = ("empty",)
    kind: Literal["linear", "gram", "coordinate"]


_PRIOR = ("prior_K", "empty")

RULES: Registry[RuleRow] = Registry("gradients.rule.name", RuleRow)
RULES.register("backdoor", kind="linear", config=BackdoorConfig, build=backdoor)
RULES.register("uniform", kind="linear", config=UniformConfig, build=uniform)
RULES.register("constant", kind="linear", config=ConstantConfig, build=constant, needs=_PRIOR)
RULES.register("cumulative", kind="linear", config=CumulativeConfig, build=cumulative)
RULES.register("group_dro", kind="linear", config=GroupDROConfig, build=GroupDRO, needs=_PRIOR)
RULES.register("streaming_dro", kind="linear", config=StreamingDROConfig, build=StreamingDRO, needs=_PRIOR)
RULES.register("upgrad", kind="gram", config=UPGradConfig, build=upgrad)
RULES.register("dualproj", kind="gram", config=DualProjConfig, build=dualproj)
RULES.register("pcgrad", kind="gram", config=PCGradConfig, build=pcgrad)
RULES.register("cagrad", kind="gram", config=CAGradConfig, build=cagrad)
RULES.register("mgda", kind="gram", config=MGDAConfig, build=mgda)
RULES.register("imtl_g", kind="gram", config=IMTLGConfig, build=imtl_g)
RULES.register("aligned_mtl", kind="gram", config=AlignedMTLConfig, build=aligned_mtl)
RULES.register("fairgrad", kind="gram", config=FairGradConfig, build=fairgrad)
RULES.register("dot_attention", kind="gram", config=DotAttentionConfig, build=dot_attention)
RULES.register("soft_attention", kind="gram", config=SoftAttentionConfig, build=soft_attention)
RULES.register("agr_sum", kind="coordinate", config=AgrSumConfig, build=AgrSum)

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
