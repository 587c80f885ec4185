"""Group DRO: weights that follow the losses, so that the worst stratum counts most. Linear rules with a memory.

    minimise over theta, maximise over q on the simplex:   sum_z q_z L_z(theta)

by exponentiated gradient ascent on q. With q_0 uniform and L_z the mean loss of stratum z over the *global* batch,

    group_dro      q_z <- q_z exp(eta L_z) / norm                                          Sagawa et al., ICLR 2020, algorithm 1
    streaming_dro  M_z <- (1 - rho) M_z + rho L_z;   q_z <- q_z exp(eta M_z) / norm         Wen et al., WWW 2022 (S-DRO)

Two deviations, both on purpose. The weights of a step use the losses of the steps before it (the papers update q first): then they
are known before the backward pass, and one pass suffices under accumulation. And a stratum without examples has no loss, which is
not a loss of 0: exp(eta 0) beside exp(eta L) of the others would push its weight down for being rare. Its q_z keeps its value, and
the strata whose loss is known share out among themselves what they had before. Under streaming DRO a stratum's loss is known from
its first example on; M_z starts there, not at 0.

Mean losses are of the order of log(catalogue) and differ little, so that eta times the number of steps is what to think about.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ltrec.aggregation.rule import Policy, State
from ltrec.aggregation.share import share_out
from ltrec.core.sumcount import SumCount


class GroupDRO:
    """q_z in proportion to the exponential of the stratum's losses so far.

    Args:
        prior_K: only its length is used.
        empty: sets the total weight, which q distributes.
        eta: step size.
    """

    kind: Literal["linear"] = "linear"
    watches_losses = True
    equivariant = smooth = True

    def __init__(self, prior_K: Tensor, empty: Policy, *, eta: float) -> None:
        self._empty = empty
        self._eta = eta
        # In logarithms: a stratum may lose the lead by hundreds of nats and come back.
        self._log_q_K = torch.zeros(len(prior_K), dtype=torch.float64).log_softmax(0)

    def weights(self, counts_K: Tensor) -> Tensor:
        """Weights float64 [K]."""
        # Any scale will do; this one cannot underflow for the strata that are there.
        present_K = self._log_q_K.where(counts_K > 0, -torch.inf)
        return share_out(self._empty(counts_K).sum(), (present_K - present_K.max()).exp(), counts_K)

    def observe(self, losses: SumCount) -> None:
        """Ascend on q by the strata that have a loss."""
        known_K = losses.count_K > 0
        before = self._log_q_K[known_K]
        ascended = (before + self._eta * _means(losses)[known_K]).log_softmax(0)
        self._log_q_K[known_K] = ascended + before.logsumexp(0)

    def state_dict(self) -> State:
        """log q, float64 [K]."""
        return {"log_q_K": self._log_q_K.clone()}

    def load_state_dict(self, state: State) -> None:
        """Go on from `state_dict`."""
        self._log_q_K.copy_(torch.as_tensor(state["log_q_K"]))


class StreamingDRO:
    """`GroupDRO` fed with running means.

    Args:
        prior_K: only its length is used.
        empty: sets the total weight, which q distributes.
        eta: step size.
        rho: share of the newest loss in the running mean.
    """

    kind: Literal["linear"] = "linear"
    watches_losses = True
    equivariant = smooth = True

    def __init__(self, prior_K: Tensor, empty: Policy, *, eta: float, rho: float) -> None:
        self._group = GroupDRO(prior_K, empty, eta=eta)
        self._rho = rho
        self._mean_K = torch.full((len(prior_K),), torch.nan, dtype=torch.float64)

    def weights(self, counts_K: Tensor) -> Tensor:
        """Weights float64 [K]."""
        return self._group.weights(counts_K)

    def observe(self, losses: SumCount) -> None:
        """Update the running means of the strata that have a loss, then ascend on q by all means known."""
        newest_K = _means(losses)
        moved_K = torch.where(self._mean_K.isnan(), newest_K, self._mean_K + self._rho * (newest_K - self._mean_K))
        self._mean_K = torch.where(losses.count_K > 0, moved_K, self._mean_K)
        known_K = ~self._mean_K.isnan()
        self._group.observe(SumCount(self._mean_K.where(known_K, 0.0), known_K.long()))

    def state_dict(self) -> State:
        """log q and the running means (NaN: no loss yet), float64 [K]."""
        return {**self._group.state_dict(), "mean_K": self._mean_K.clone()}

    def load_state_dict(self, state: State) -> None:
        """Go on from `state_dict`."""
        self._group.load_state_dict(state)
        self._mean_K.copy_(torch.as_tensor(state["mean_K"]))


def _means(losses: SumCount) -> Tensor:
    """Mean loss of each stratum, float64 [K]; NaN without examples."""
    mean_K = losses.sum_K.double() / losses.divisor_K
    assert mean_K[losses.count_K > 0].isfinite().all(), f"losses {mean_K} of a step that should have been stopped or skipped"
    return mean_K
