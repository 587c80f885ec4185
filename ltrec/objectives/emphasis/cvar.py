"""CVaR-DRO: the mean of the worst share alpha of the losses, whoever they belong to (no groups are needed).

    CVaR_alpha = min_tau  tau + E[(l - tau)+] / alpha            (Rockafellar & Uryasev, 2000, eq. 4)

Its minimum is attained at tau, the ceil(alpha N)-th largest of N losses. Put in, it is a weighted mean with weights that sum to N,

    CVaR_alpha = (1/N) sum_i w_i l_i        w_i = 1 / alpha   above tau
                                                  c / alpha   at tau, with c in (0, 1] such that the weights of all sum to N
                                                  0           below

and its gradient is the same mean of gradients (Danskin). Ties at tau share one c: any other division has the same mean but would
depend on the order of the examples.

An example is a target, or a user and the mean over his targets (stream.unit=user): then the worst *users* of the batch count, as in
fast-dro (Levy et al., NeurIPS 2020) with sequences for examples.

The N losses are those of one *micro-batch over all ranks*, so the result does not depend on how rows are spread. With
trainer.accumulate=A a step follows the mean of A such figures, each over its own worst share: not the CVaR of the whole step,
whose tau is known only after the last forward pass. Every rank must call it: the losses are gathered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from ltrec.core.bounds import Between, check_fields
from ltrec.objectives.draw import Gather


@dataclass(frozen=True, slots=True)
class CVaRConfig:
    """Only the worst losses."""

    name: str = "cvar"
    """Key in EMPHASES."""
    alpha: Annotated[float, Between(0, 1, above=True)] = 0.5
    """Share of the examples (targets, or users with stream.unit=user) that counts, in (0, 1]; 1 = the plain mean. Of each
    micro-batch over all processes, so that trainer.accumulate makes a difference."""

    def __post_init__(self) -> None:
        check_fields(self)


class CVaR:
    """w_i l_i per example; an `Emphasis`, and a `Choice`. Its mean over the global micro-batch is CVaR."""

    coupled = True

    def __init__(self, *, gather: Gather, alpha: float = 0.5) -> None:
        self.gather, self.alpha = gather, alpha

    def __call__(self, loss_N: Tensor) -> Tensor:
        """Weighted losses [N]."""
        return loss_N * self.weights(loss_N)

    def weights(self, loss_N: Tensor) -> Tensor:
        """w [N], without a gradient; its mean over the global micro-batch is 1."""
        every_N = self.gather(loss_N.detach())
        if not every_N.numel():
            return torch.ones_like(loss_N)
        kept = self.alpha * every_N.numel()
        tau = every_N.topk(math.ceil(kept)).values[-1]
        left = kept - (every_N > tau).sum(dtype=torch.float64)
        of_tied = (left / (every_N == tau).sum()).to(loss_N.dtype)
        mine_N = loss_N.detach()
        weight_N = torch.where(mine_N == tau, of_tied, (mine_N > tau).to(loss_N.dtype))
        return weight_N / self.alpha
