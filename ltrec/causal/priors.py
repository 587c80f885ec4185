"""The visible table of priors; `prior.py` says what each is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ltrec.causal.config import (
    ClassBalancedPriorConfig,
    EventPriorConfig,
    ExplicitPriorConfig,
    TemperedPriorConfig,
    UniformPriorConfig,
    UserPriorConfig,
)
from ltrec.core.extension.registry import Registry, Variant

if TYPE_CHECKING:
    from torch import Tensor  # noqa: F401  in a string below


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior(Variant["Tensor"]):
    """A row of `PRIORS`; `build` is Population and options -> shares up to a common factor, not negative, float64 [K].

    Attributes:
        counts_examples: it uses the numbers of training examples, which must be counted first.
    """

    counts_examples: bool = False


PRIORS: Registry[Prior] = Registry("gradients.prior.name", Prior)
PRIORS.register("user", config=UserPriorConfig, build="ltrec.causal.prior:by_user")
PRIORS.register("event", config=EventPriorConfig, build="ltrec.causal.prior:by_event")
PRIORS.register("uniform", config=UniformPriorConfig, build="ltrec.causal.prior:uniform")
PRIORS.register("tempered", config=TemperedPriorConfig, build="ltrec.causal.prior:tempered")
PRIORS.register("class_balanced", config=ClassBalancedPriorConfig, build="ltrec.causal.prior:class_balanced", counts_examples=True)
PRIORS.register("explicit", config=ExplicitPriorConfig, build="ltrec.causal.prior:explicit")
