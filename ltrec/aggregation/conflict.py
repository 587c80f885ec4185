"""Eight published ways to combine gradients that disagree, on the strata's Gram matrix: their options, and the table to torchjd.py.

Each was made for tasks of a multi-task model; here a task is a stratum. A_yz = <G_y, G_z>, P the prior, weights sum to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from ltrec.aggregation.gram import OnPresent, Solver
from ltrec.aggregation.rule import Policy
from ltrec.aggregation.torchjd import by_preference, by_scaling
from ltrec.core.bounds import Between, check_fields


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


def upgrad(empty: Policy) -> OnPresent:
    """P is the preference vector."""
    return OnPresent(by_preference("UPGradWeighting"), empty)


def dualproj(empty: Policy) -> OnPresent:
    """P is the preference vector."""
    return OnPresent(by_preference("DualProjWeighting"), empty)


def pcgrad(empty: Policy) -> OnPresent:
    """P scales the gradients. The order is drawn anew for every stratum and step, hence no equivariance."""
    return OnPresent(by_scaling("PCGradWeighting"), empty, equivariant=False)


def cagrad(empty: Policy, *, c: float) -> OnPresent:
    """P scales the gradients. Where no update improves all strata TorchJD answers 0; the backdoor update is taken then."""
    return OnPresent(by_scaling("CAGradWeighting", c=c), empty)


def mgda(empty: Policy) -> OnPresent:
    """P scales the gradients. The vertices that Frank-Wolfe visits may change at a touch."""
    return OnPresent(by_scaling("MGDAWeighting"), empty, smooth=False)


def imtl_g(empty: Policy) -> OnPresent:
    """P scales the gradients, without effect. Not smooth: the weights' sum passes through 0."""
    return OnPresent(_descending(by_scaling("IMTLGWeighting")), empty, smooth=False)


def aligned_mtl(empty: Policy) -> OnPresent:
    """P is the preference vector. TorchJD's `scale_mode` only scales the weights, which sum to 1 here."""
    return OnPresent(by_preference("AlignedMTLWeighting"), empty)


def fairgrad(empty: Policy, *, alpha: float) -> OnPresent:
    """P scales the gradients."""
    return OnPresent(by_scaling("FairGradWeighting", alpha=alpha), empty)


def _descending(solve: Solver) -> Solver:
    """No answer where the update would climb the prior's objective."""

    def checked(gram: Tensor, prior: Tensor, key: int) -> Tensor | None:
        raw = solve(gram, prior, key)
        return raw if raw is not None and raw @ gram @ prior > 0 else None

    return checked
