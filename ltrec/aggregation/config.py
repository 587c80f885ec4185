"""Options of each rule, which the rule's own module explains. Free of torch, like all config classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ltrec.core.bounds import Between, check_fields


@dataclass(frozen=True, slots=True)
class BackdoorConfig:
    """w_z = P(z): the gradient under an intervention on activity, sum_z P(z) G_z (`causal`). The default."""

    name: str = "backdoor"
    """Key in RULES."""


@dataclass(frozen=True, slots=True)
class UniformConfig:
    """The same weight for every stratum that is present, regardless of the prior."""

    name: str = "uniform"
    """Key in RULES."""


@dataclass(frozen=True, slots=True)
class ConstantConfig:
    """Weights set by hand, whatever the prior."""

    name: str = "constant"
    """Key in RULES."""
    weights: tuple[Annotated[float, Between(0, 1e12)], ...] = ()
    """One number per stratum, least active first, not negative; only their proportions count."""

    def __post_init__(self) -> None:
        check_fields(self)
        # An empty list is the bare name, as in `--print-config`; building the rule refuses it by its length.
        if self.weights and not sum(self.weights):
            raise ValueError(f"weights must not all be zero; got {list(self.weights)}")


@dataclass(frozen=True, slots=True)
class CumulativeConfig:
    """What PIN's public release computes, as an ablation: gradients are not zeroed between strata, so lower numbers weigh more."""

    name: str = "cumulative"
    """Key in RULES."""


@dataclass(frozen=True, slots=True)
class GroupDROConfig:
    """Exponentiated by each step's losses (Sagawa et al. 2020)."""

    name: str = "group_dro"
    """Key in RULES."""
    eta: Annotated[float, Between(0, 1e6)] = 0.01
    """Step size of the weights; 0 keeps them uniform."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class StreamingDROConfig:
    """Exponentiated by running means of the losses (Wen et al. 2022)."""

    name: str = "streaming_dro"
    """Key in RULES."""
    eta: Annotated[float, Between(0, 1e6)] = 0.01
    """Step size of the weights; 0 keeps them uniform."""
    rho: Annotated[float, Between(0, 1, above=True)] = 0.1
    """Share of the newest loss in the running mean; 1 is group_dro."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class UPGradConfig:
    """Project each P(z) G_z onto the cone of updates that harm no stratum, add up (Quinton & Rey 2024, arXiv 2406.16232)."""

    name: str = "upgrad"
    """Key in RULES."""


@dataclass(frozen=True, slots=True)
class DualProjConfig:
    """Project the backdoor gradient onto the cone of updates that harm no stratum (Lopez-Paz & Ranzato 2017, eq. 11)."""

    name: str = "dualproj"
    """Key in RULES."""


@dataclass(frozen=True, slots=True)
class PCGradConfig:
    """Subtract from each gradient what opposes the others, one by one in random order (Yu et al. 2020, arXiv 2001.06782)."""

    name: str = "pcgrad"
    """Key in RULES."""


@dataclass(frozen=True, slots=True)
class CAGradConfig:
    """The best worst-stratum improvement within a ball around the backdoor gradient (Liu et al. 2021, arXiv 2110.14048)."""

    name: str = "cagrad"
    """Key in RULES."""
    c: Annotated[float, Between(0, 1, below=True)] = 0.4
    """Radius of the ball, as a share of that gradient's length; 0 is backdoor. From 1 on the update might climb."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class MGDAConfig:
    """The shortest vector in the hull of the P(z) G_z (Désidéri 2012). Short gradients win, and so do *small* P(z)."""

    name: str = "mgda"
    """Key in RULES."""


@dataclass(frozen=True, slots=True)
class IMTLGConfig:
    """The update with equal projections on all gradients (Liu et al., ICLR 2021, "IMTL"). Lengths cancel, and P with them.

    Where no sum-one update improves all strata equally, the formula turns around and climbs; the backdoor update is taken then.
    """

    name: str = "imtl_g"
    """Key in RULES."""


@dataclass(frozen=True, slots=True)
class AlignedMTLConfig:
    """Make the gradients' principal components equally long, keep P as preference (Senushkin et al., CVPR 2023)."""

    name: str = "aligned_mtl"
    """Key in RULES."""


@dataclass(frozen=True, slots=True)
class FairGradConfig:
    """Alpha-fair improvements (Ban & Ji 2024, arXiv 2402.15638): A x = x^(-1/alpha)."""

    name: str = "fairgrad"
    """Key in RULES."""
    alpha: Annotated[float, Between(0, 1e6, above=True)] = 1.0
    """1: proportional fairness (Nash bargaining); larger: closer to the worst stratum's improvement alone."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class DotAttentionConfig:
    """Softmax over each stratum's sum of inner products with all strata: agreeing *and large* gradients count."""

    name: str = "dot_attention"
    """Key in RULES."""
    tau: Annotated[float, Between(0, 1e12, above=True)] = 100.0
    """Temperature, in units of squared gradient norm: the one rule that depends on the gradients' scale."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class SoftAttentionConfig:
    """Strata that disagree with the mean gradient are left out; softmax over the others' sums of cosines among themselves."""

    name: str = "soft_attention"
    """Key in RULES."""


@dataclass(frozen=True, slots=True)
class AgrSumConfig:
    """The backdoor gradient, but 0 wherever two strata differ in sign."""

    name: str = "agr_sum"
    """Key in RULES."""
