"""Rules from the real table with the real empty policies, and gradients to try them on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from ltrec.aggregation import RULES
from ltrec.causal.backdoor import Hajek


def build(name: str, prior_K: Tensor, *, empty: str = "renormalize", **options: Any) -> Any:
    """The rule `name` as a run would have it."""
    if name == "constant" and not options:
        options = {"weights": tuple(float(1 + k) for k in range(len(prior_K)))}
    fields = asdict(RULES[name].config(**options))
    del fields["name"]
    return RULES[name].make(prior_K=prior_K, empty=Hajek(prior_K, torch.full_like(prior_K, 0.5), empty), **fields)


def uniform(num_strata: int) -> Tensor:
    """P(z) = 1 / K."""
    return torch.full((num_strata,), 1 / num_strata, dtype=torch.float64)


def random_prior(num_strata: int, seed: int) -> Tensor:
    """A prior between 1 : 1 and 1 : 10."""
    prior_K = 0.1 + torch.rand(num_strata, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return prior_K / prior_K.sum()


def random_rows(num_strata: int, width: int, seed: int, *, common: float = 0.5) -> Tensor:
    """Gradients [K, N] with something in common, of lengths within a factor of four. Small `common`: many conflicts."""
    draw = torch.Generator().manual_seed(seed)
    shared_N = torch.randn(width, generator=draw, dtype=torch.float64)
    own_KN = torch.randn(num_strata, width, generator=draw, dtype=torch.float64)
    length_K1 = 0.5 + 1.5 * torch.rand(num_strata, 1, generator=draw, dtype=torch.float64)
    return length_K1 * (common * shared_N + own_KN)


def ones(num_strata: int) -> Tensor:
    """Counts of a window in which every stratum is there."""
    return torch.ones(num_strata, dtype=torch.int64)
