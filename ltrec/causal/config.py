"""Options of P(z), the population that training targets: one dataclass per prior (`prior.py`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from ltrec.core.bounds import SHARE, Between, check_fields


@dataclass(frozen=True, slots=True)
class UserPriorConfig:
    """An average user, of those who bring a target, with two training events or more."""

    name: str = "user"
    """Key in PRIORS."""


@dataclass(frozen=True, slots=True)
class EventPriorConfig:
    """An average training event of these users: nearly as joint training has it."""

    name: str = "event"
    """Key in PRIORS."""


@dataclass(frozen=True, slots=True)
class UniformPriorConfig:
    """An average stratum, of those that have such users."""

    name: str = "uniform"
    """Key in PRIORS."""


@dataclass(frozen=True, slots=True)
class TemperedPriorConfig:
    """Between `user` and `uniform`: P(z) proportional to users^(1/T)."""

    name: str = "tempered"
    """Key in PRIORS."""
    temperature: Annotated[float, Between(0, math.inf, above=True)] = 1.0
    """T: 1 is `user`, larger is closer to uniform."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class ClassBalancedPriorConfig:
    """By the effective number of a stratum's examples (Cui et al., CVPR 2019)."""

    name: str = "class_balanced"
    """Key in PRIORS."""
    beta: Annotated[float, Between(0, 1, below=True)] = 0.9999
    """In [0, 1): 0 is joint training, towards 1 every stratum counts alike. Strata of far more than 1 / (1 - beta) examples count
    by their size, those of far fewer alike."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class ExplicitPriorConfig:
    """As given."""

    name: str = "explicit"
    """Key in PRIORS."""
    shares: tuple[Annotated[float, SHARE], ...] = ()
    """P(z): one number per stratum, least active first, with the sum 1."""

    def __post_init__(self) -> None:
        check_fields(self)
        # An empty list is the bare name, as in `--print-config`; building the prior refuses it by its length.
        if self.shares and not math.isclose(sum(self.shares), 1.0, abs_tol=1e-6):
            raise ValueError(f"shares must sum to 1; got {list(self.shares)}, sum {sum(self.shares):g}")


DefaultPriorConfig = UserPriorConfig
"""Default of the command line and of a bare `Trainer(strategy="stratified")`."""

PriorConfig = (
    UserPriorConfig | EventPriorConfig | UniformPriorConfig | TemperedPriorConfig | ClassBalancedPriorConfig | ExplicitPriorConfig
)
