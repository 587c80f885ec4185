"""What is said of priors and of gradients by stratum: accepted, or refused where it cannot be meant."""

from __future__ import annotations

import math
import re

import pytest

from ltrec.aggregation import RULES
from ltrec.causal.config import ClassBalancedPriorConfig, ExplicitPriorConfig, TemperedPriorConfig
from ltrec.distributed.gradients_config import CombinationConfig, StratifiedConfig

GOOD = [
    lambda: StratifiedConfig(),
    lambda: StratifiedConfig(mode="replay", nonfinite="skip", source="retained", probe_every_steps=0),
    lambda: ExplicitPriorConfig(shares=(0.25, 0.25, 0.5)),
    lambda: ExplicitPriorConfig(shares=(0.0, 1.0)),
    lambda: ExplicitPriorConfig(shares=(0.1,) * 10),
    lambda: TemperedPriorConfig(temperature=2.5),
    lambda: TemperedPriorConfig(temperature=math.inf),
    lambda: ClassBalancedPriorConfig(beta=0.0),
    lambda: CombinationConfig(prior=ClassBalancedPriorConfig(beta=0.99), estimator="horvitz_thompson"),
    lambda: CombinationConfig(empty="error"),
    lambda: CombinationConfig(rule=RULES["upgrad"].config(), empty="drop"),
]
BAD = {
    "empty must be one of renormalize, drop, inverse_presence, error; got 'renormalise' (did you mean 'renormalize'?)": (
        lambda: CombinationConfig(empty="renormalise")
    ),
    "estimator must be one of hajek, horvitz_thompson; got 'ht'": lambda: CombinationConfig(estimator="ht"),
    "mode must be one of auto, per_stratum, weighted, replay; got 'aligned'": lambda: StratifiedConfig(mode="aligned"),
    "temperature must be above 0; got 0.0": lambda: TemperedPriorConfig(temperature=0.0),
    "temperature must be above 0; got nan": lambda: TemperedPriorConfig(temperature=math.nan),
    "beta must be below 1; got 1.0": lambda: ClassBalancedPriorConfig(beta=1.0),
    "beta must be at least 0; got -0.1": lambda: ClassBalancedPriorConfig(beta=-0.1),
    "beta must be at least 0; got nan": lambda: ClassBalancedPriorConfig(beta=math.nan),
    "must sum to 1; got [0.5, 0.4], sum 0.9": lambda: ExplicitPriorConfig(shares=(0.5, 0.4)),
    "shares must be at most 1; got 1.5 in [1.5, -0.5]": lambda: ExplicitPriorConfig(shares=(1.5, -0.5)),
    "shares must be at least 0; got nan in [nan, 1.0]": lambda: ExplicitPriorConfig(shares=(math.nan, 1.0)),
    "empty=drop has no effect with estimator=horvitz_thompson": (
        lambda: CombinationConfig(estimator="horvitz_thompson", empty="drop")
    ),
    "backdoor adjustment, and rule.name=upgrad would bend it; use rule.name=backdoor with a prior, or estimator=hajek": (
        lambda: StratifiedConfig(estimator="horvitz_thompson", rule=RULES["upgrad"].config())
    ),
}


@pytest.mark.parametrize("make", GOOD)
def test_accepted(make):
    assert make() == make()


@pytest.mark.parametrize("message", BAD)
def test_refused(message):
    with pytest.raises(ValueError, match=re.escape(message)):
        BAD[message]()
