"""Gram matrix -> weights: what every method needs done before and after it, once.

Before: strata without examples or without prior mass are left out (to a method they are rows of zeros: MGDA would give all weight
to one, for the shortest vector in the hull is its gradient). One stratum alone needs no method.

After: the answer is scaled so that it sums to the policy's mass. It is *not usable* when it is not finite or when its sum is not
clearly positive: dividing by a sum near zero would blow the step up, by a negative one turn it around. Then the policy's own
weights are taken, i.e. the backdoor update, and `fallbacks` counts it. Negative single weights are fine: some methods subtract.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from ltrec.aggregation.rule import Policy, State

Solver = Callable[[Tensor, Tensor, int], Tensor | None]
"""(gram_nn, prior_n, key) -> weights_n of any scale, for n >= 2 strata with prior_n > 0, sum 1; None when there is no answer."""

LEAST_SUM = 0.01
"""Weights must sum to at least this share of their absolute values."""


class OnPresent:
    """A Gram rule: a solver for the strata that take part.

    Args:
        solve: the method.
        empty: counts_K -> P(z) for this step.
        equivariant: see `GramRule`.
        smooth: see `GramRule`.
    """

    kind: Literal["gram"] = "gram"

    def __init__(self, solve: Solver, empty: Policy, *, equivariant: bool = True, smooth: bool = True) -> None:
        self._solve = solve
        self._empty = empty
        self.equivariant = equivariant
        self.smooth = smooth
        self.fallbacks = 0

    def weights(self, gram_KK: Tensor, counts_K: Tensor, key: int) -> Tensor:
        """Weights float64 [K]."""
        policy_K = self._empty(counts_K)
        index = ((counts_K > 0) & (policy_K > 0)).nonzero().squeeze(1)
        gram = gram_KK[index][:, index].double()
        assert gram.isfinite().all(), f"a gradient that is not finite reached the rule: {gram.diagonal()}"
        if len(index) < 2 or not gram.diagonal().any():
            return policy_K
        mass = policy_K[index].sum()
        raw = self._solve(gram, policy_K[index] / mass, key)
        if raw is None or not _usable(raw):
            self.fallbacks += 1
            return policy_K
        return torch.zeros_like(policy_K).index_copy(0, index, raw * (mass / raw.sum()))

    def state_dict(self) -> State:
        """The number of fallbacks; the methods themselves have no memory."""
        return {"fallbacks": self.fallbacks}

    def load_state_dict(self, state: State) -> None:
        """Restore from `state_dict`."""
        self.fallbacks = int(state["fallbacks"])


def _usable(raw: Tensor) -> bool:
    return bool(raw.sum() > LEAST_SUM * raw.abs().sum())  # neither NaN nor infinity is larger than itself


def unit_trace(gram: Tensor) -> Tensor:
    """The Gram matrix of the same gradients in another unit: solvers have absolute tolerances, gradients have no natural scale."""
    return gram / gram.diagonal().sum()
