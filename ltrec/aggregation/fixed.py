"""Linear rules whose weights are settled by the counts: backdoor, uniform, constant, cumulative.

With any of them the update is the gradient of sum_i (w_z(i) / N_z(i)) l_i, inverse propensity weighting by stratum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from ltrec.aggregation.rule import Policy, State
from ltrec.aggregation.share import share_out
from ltrec.causal.backdoor import cumulative_weights
from ltrec.core.errors import UserError
from ltrec.core.sumcount import SumCount


class ByCounts:
    """A linear rule without memory.

    Args:
        weigh: counts_K -> weights_K.
        equivariant: False if the weights depend on the numbering of the strata.
    """

    kind: Literal["linear"] = "linear"
    watches_losses = False
    smooth = True

    def __init__(self, weigh: Callable[[Tensor], Tensor], *, equivariant: bool = True) -> None:
        self._weigh = weigh
        self.equivariant = equivariant

    def weights(self, counts_K: Tensor) -> Tensor:
        """Weights float64 [K]."""
        return self._weigh(counts_K)

    def observe(self, losses: SumCount) -> None:
        """Losses play no part."""

    def state_dict(self) -> State:
        """Nothing."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Nothing."""


def backdoor(empty: Policy) -> ByCounts:
    """The policy's weights as they are."""
    return ByCounts(empty)


def uniform(empty: Policy) -> ByCounts:
    """Equal shares of the policy's mass. With `drop` and a uniform prior: the 1/K of PIN's release, absent strata or not."""
    return ByCounts(lambda counts_K: share_out(empty(counts_K).sum(), torch.ones(len(counts_K), dtype=torch.float64), counts_K))


def constant(prior_K: Tensor, empty: Policy, *, weights: Sequence[float]) -> ByCounts:
    """The policy's mass in the proportions of `weights`.

    Raises:
        UserError: there is not one weight per stratum.
    """
    if len(weights) != len(prior_K):
        raise UserError(f"`weights` has {len(weights)} numbers, the data has {len(prior_K)} strata; give one weight per stratum")
    shares_K = torch.tensor(weights, dtype=torch.float64)
    return ByCounts(lambda counts_K: share_out(empty(counts_K).sum(), shares_K, counts_K), equivariant=False)


def cumulative(empty: Policy) -> ByCounts:
    """Stratum j in proportion to the sum of P(z) over the present z >= j: (K - j) / K for the release's uniform P.

    Row z of the release's gradient memory holds G_0 + ... + G_z. An absent stratum leaves a row of zeros, and adds nothing to the
    rows after it.
    """

    def weigh(counts_K: Tensor) -> Tensor:
        prior_K = empty(counts_K)
        return share_out(prior_K.sum(), cumulative_weights(prior_K), counts_K)

    return ByCounts(weigh, equivariant=False)
