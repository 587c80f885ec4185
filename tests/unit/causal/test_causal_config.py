"""CausalConfig refuses what cannot be meant."""

from __future__ import annotations

import math
import re

import pytest

from ltrec.causal.config import CausalConfig

GOOD = [
    {},
    {"prior": "explicit", "shares": (0.25, 0.25, 0.5)},
    {"prior": "explicit", "shares": (0.0, 1.0)},
    {"prior": "explicit", "shares": (0.1,) * 10},
    {"prior": "tempered", "temperature": 2.5},
    {"prior": "tempered", "temperature": math.inf},
    {"prior": "class_balanced", "beta": 0.0},
    {"prior": "class_balanced", "beta": 0.99, "estimator": "horvitz_thompson"},
    {"estimator": "horvitz_thompson"},
    {"empty": "error"},
]
BAD = [
    (
        {"prior": "users"},
        "prior must be one of user, event, uniform, tempered, class_balanced, explicit; got 'users' (did you mean 'user'?)",
    ),
    ({"empty": "renormalise"}, "empty must be one of renormalize, drop, inverse_presence, error; got 'renormalise'"),
    ({"estimator": "ht"}, "estimator must be one of hajek, horvitz_thompson; got 'ht'"),
    ({"prior": "tempered", "temperature": 0.0}, "temperature must be above 0; got 0.0"),
    ({"prior": "tempered", "temperature": -1.0}, "temperature must be above 0"),
    ({"prior": "tempered", "temperature": math.nan}, "temperature must be above 0; got nan"),
    ({"prior": "class_balanced", "beta": 1.0}, "beta must be below 1; got 1.0"),
    ({"prior": "class_balanced", "beta": -0.1}, "beta must be at least 0; got -0.1"),
    ({"prior": "class_balanced", "beta": math.nan}, "beta must be at least 0; got nan"),
    ({"beta": 0.5}, "beta is 0.5, which only prior=class_balanced uses; prior is 'user'"),
    ({"temperature": 2.0}, "which only prior=tempered uses; prior is 'user'"),
    ({"prior": "explicit"}, "shares must be given with prior=explicit and with no other; got [] with 'explicit'"),
    ({"shares": (0.5, 0.5)}, "shares must be given with prior=explicit and with no other; got [0.5, 0.5] with 'user'"),
    ({"prior": "explicit", "shares": (0.5, 0.4)}, "must sum to 1; got [0.5, 0.4], sum 0.9"),
    ({"prior": "explicit", "shares": (1.5, -0.5)}, "shares must be at most 1; got 1.5 in [1.5, -0.5]"),
    ({"prior": "explicit", "shares": (math.nan, 1.0)}, "shares must be at least 0; got nan in [nan, 1.0]"),
    ({"estimator": "horvitz_thompson", "empty": "drop"}, "empty=drop has no effect with estimator=horvitz_thompson"),
]


@pytest.mark.parametrize("good", GOOD, ids=str)
def test_accepted(good):
    assert all(getattr(CausalConfig(**good), key) == value for key, value in good.items())


@pytest.mark.parametrize(("bad", "message"), BAD, ids=lambda value: str(value)[:40])
def test_refused(bad, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        CausalConfig(**bad)
