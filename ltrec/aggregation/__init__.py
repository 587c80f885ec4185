"""Rules that turn strata into weights, or into one gradient: the visible table.

linear      backdoor, uniform, constant, cumulative; group_dro, streaming_dro: one backward pass, every strategy
gram        upgrad, dualproj, pcgrad, cagrad, mgda, imtl_g, aligned_mtl, fairgrad; dot_attention, soft_attention: the strata's
            inner products decide
coordinate  agr_sum: needs all rows at hand

TorchJD and its solvers are loaded when a rule of theirs first decides: every command reads this table, few train with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

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


def _with(make: Callable[..., Rule], *needs: str) -> Callable[..., Rule]:
    """Hand `make` its options and, of what every rule is offered, the parts it needs."""

    def build(*, prior_K: Tensor, empty: Policy, **options: Any) -> Rule:
        offered = {"prior_K": prior_K, "empty": empty}
        return make(**options, **{name: offered[name] for name in needs})

    return build


LINEAR: dict[str, Callable[..., Rule]] = {
    "backdoor": _with(backdoor, "empty"),
    "uniform": _with(uniform, "empty"),
    "constant": _with(constant, "prior_K", "empty"),
    "cumulative": _with(cumulative, "empty"),
    "group_dro": _with(GroupDRO, "prior_K", "empty"),
    "streaming_dro": _with(StreamingDRO, "prior_K", "empty"),
}
"""Rules of kind `linear`."""

GRAM: dict[str, Callable[..., Rule]] = {
    "upgrad": _with(upgrad, "empty"),
    "dualproj": _with(dualproj, "empty"),
    "pcgrad": _with(pcgrad, "empty"),
    "cagrad": _with(cagrad, "empty"),
    "mgda": _with(mgda, "empty"),
    "imtl_g": _with(imtl_g, "empty"),
    "aligned_mtl": _with(aligned_mtl, "empty"),
    "fairgrad": _with(fairgrad, "empty"),
    "dot_attention": _with(dot_attention, "empty"),
    "soft_attention": _with(soft_attention, "empty"),
}
"""Rules of kind `gram`."""

COORDINATE: dict[str, Callable[..., Rule]] = {
    "agr_sum": _with(AgrSum, "empty"),
}
"""Rules of kind `coordinate`."""

RULES: dict[str, Callable[..., Rule]] = {**LINEAR, **GRAM, **COORDINATE}
"""name -> builder, called with prior_K, empty (the policy bound to the prior: counts_K -> weights_K) and the fields of its config
but `name`."""

RULE_KINDS: dict[str, str] = {
    name: kind for kind, table in {"linear": LINEAR, "gram": GRAM, "coordinate": COORDINATE}.items() for name in table
}
"""name -> linear, gram or coordinate: what a strategy must be able to offer, known before the rule is built."""

RULE_CONFIGS: dict[str, type[RuleConfig]] = {
    "backdoor": BackdoorConfig,
    "uniform": UniformConfig,
    "constant": ConstantConfig,
    "cumulative": CumulativeConfig,
    "group_dro": GroupDROConfig,
    "streaming_dro": StreamingDROConfig,
    "upgrad": UPGradConfig,
    "dualproj": DualProjConfig,
    "pcgrad": PCGradConfig,
    "cagrad": CAGradConfig,
    "mgda": MGDAConfig,
    "imtl_g": IMTLGConfig,
    "aligned_mtl": AlignedMTLConfig,
    "fairgrad": FairGradConfig,
    "dot_attention": DotAttentionConfig,
    "soft_attention": SoftAttentionConfig,
    "agr_sum": AgrSumConfig,
}
"""name -> config dataclass."""

__all__ = [
    "RULES",
    "RULE_CONFIGS",
    "RULE_KINDS",
    "BackdoorConfig",
    "CoordinateRule",
    "GramRule",
    "LinearRule",
    "Policy",
    "Rule",
    "RuleConfig",
]
