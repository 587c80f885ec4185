"""CVaR-DRO: the mean of the worst share alpha of the losses, regardless of groups.

    CVaR_alpha = min_tau  tau + E[(l - tau)+] / alpha            (Rockafellar & Uryasev, 2000, eq. 4)

Its minimum is attained at tau, the ceil(alpha N)-th largest of N losses. Put in, it is a weighted mean with weights that sum to N,

    CVaR_alpha = (1/N) sum_i w_i l_i        w_i = 1 / alpha   above tau
                                                  c / alpha   at tau, with c in (0, 1] such that the weights of all sum to N
                                                  0           below

and its gradient is the same mean of gradients (Danskin). Ties at tau share one c: any other division has the same mean but would
depend on the order of the examples.

An example is a target, or a user and the mean over his targets (stream.unit=user): then the worst *users* of the batch count, as in
fast-dro (Levy et al., NeurIPS 2020) with sequences for examples.

Where events have weights, an example of weight m counts as m examples do: N is the sum of the weights, tau the loss at which the
weights from the largest loss down reach alpha N, and the w_i sum to N when each is multiplied by its m_i.

The N losses are those of one *micro-batch over all ranks*, so the result does not depend on how rows are spread. With
trainer.accumulate=A a step follows the mean of A such figures, each over its own worst share: not the CVaR of the whole step,
whose tau is known only after the last forward pass. Every rank must call it: the losses are gathered.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ltrec.objectives.draw import Gather


class CVaR:
    """w_i l_i per example; an `Emphasis`, and a `Choice`. Its mean over the global micro-batch is CVaR."""

    coupled = True

    def __init__(self, *, gather: Gather, alpha: float = 0.5) -> None:
        self.gather, self.alpha = gather, alpha

    def __call__(self, loss_N: Tensor) -> Tensor:
        """Weighted losses [N]."""
        return loss_N * self.weights(loss_N)

    def weights(self, loss_N: Tensor, mass_N: Tensor | None = None) -> Tensor:
        """w [N], without a gradient; its mean over the global micro-batch is 1. `mass_N`: the examples' own weights."""
        every_N = self.gather(loss_N.detach())
        mass = None if mass_N is None else self.gather(mass_N)
        if not every_N.numel():
            return torch.ones_like(loss_N)
        tau, of_tied = self._by_count(every_N) if mass is None else self._by_mass(every_N, mass.double())
        of_tied, mine_N = of_tied.to(loss_N.dtype), loss_N.detach()
        weight_N = torch.where(mine_N == tau, of_tied, (mine_N > tau).to(loss_N.dtype))
        return weight_N / self.alpha

    def _by_count(self, every_N: Tensor) -> tuple[Tensor, Tensor]:
        """tau, and c of the losses that are equal to it."""
        kept = self.alpha * every_N.numel()
        tau = every_N.topk(math.ceil(kept)).values[-1]
        left = kept - (every_N > tau).sum(dtype=torch.float64)
        return tau, left / (every_N == tau).sum()

    def _by_mass(self, every_N: Tensor, mass_N: Tensor) -> tuple[Tensor, Tensor]:
        """The same for losses with different weights."""
        order_N = every_N.argsort(descending=True)
        reached_N = mass_N[order_N].cumsum(0)
        kept = self.alpha * reached_N[-1]
        tau = every_N[order_N[torch.searchsorted(reached_N, kept).clamp(max=len(every_N) - 1)]]
        left = kept - mass_N[every_N > tau].sum()
        return tau, left / mass_N[every_N == tau].sum()
