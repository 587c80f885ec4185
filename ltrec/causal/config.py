"""What a user may say about the adjustment for activity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from ltrec.causal.empty import EMPTY_POLICIES
from ltrec.causal.prior import PRIORS
from ltrec.core.bounds import SHARE, Among, Between, OneOf, check_fields

ESTIMATORS = ("hajek", "horvitz_thompson")
_BETA = 0.9999


@dataclass(frozen=True, slots=True)
class CausalConfig:
    """P(G|do(D)) = sum_z P(G|D, z) P(z): which strata z, which population P, and how the sum is estimated from a window."""

    strata: Annotated[int, Between(0, 100)] = 0
    """Activity strata that training tells apart: 0 = as many as the data set has; 2 = tail and head; any other number merges
    neighbours to user shares as equal as can be. Reports keep to the data set's."""
    prior: Annotated[str, Among(PRIORS)] = "user"
    """P(z), the share of each activity stratum: `user` (of the users who bring a target, with two training events or more), `event`
    (of their training events, nearly as joint training has it), `uniform` (of the strata that have such users), `tempered`,
    `class_balanced` or `explicit`."""
    temperature: Annotated[float, Between(0, math.inf, above=True)] = 1.0
    """T of `tempered`, P(z) proportional to users^(1/T): 1 is `user`, larger is closer to uniform."""
    beta: Annotated[float, Between(0, 1, below=True)] = _BETA
    """Beta of `class_balanced`, in [0, 1): 0 is joint training, towards 1 every stratum counts alike. Strata of far more than
    1 / (1 - beta) examples count by their size, those of far fewer alike."""
    shares: tuple[Annotated[float, SHARE], ...] = ()
    """P(z) of `explicit`: one number per stratum, least active first, with the sum 1."""
    empty: Annotated[str, OneOf(*EMPTY_POLICIES)] = "renormalize"
    """When a step holds no example of a stratum: `renormalize` the others' weights, `drop` its share, `inverse_presence` (drop, and
    divide each weight by how often its stratum is there: unbiased, noisier), or `error`."""
    estimator: Annotated[str, OneOf(*ESTIMATORS)] = "hajek"
    """`hajek`: means over the examples that came. `horvitz_thompson`: sums over the number expected: unbiased, noisier."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.temperature != 1.0 and self.prior != "tempered":
            raise ValueError(f"temperature is {self.temperature}, which only prior=tempered uses; prior is {self.prior!r}")
        if self.beta != _BETA and self.prior != "class_balanced":
            raise ValueError(f"beta is {self.beta}, which only prior=class_balanced uses; prior is {self.prior!r}")
        if bool(self.shares) != (self.prior == "explicit"):
            raise ValueError(
                f"shares must be given with prior=explicit and with no other; got {list(self.shares)} with {self.prior!r}"
            )
        if self.shares and not math.isclose(sum(self.shares), 1.0, abs_tol=1e-6):
            raise ValueError(f"shares must sum to 1; got {list(self.shares)}, sum {sum(self.shares):g}")
        if self.estimator == "horvitz_thompson" and self.empty != "renormalize":
            raise ValueError(f"empty={self.empty} has no effect with estimator=horvitz_thompson; leave it out")
