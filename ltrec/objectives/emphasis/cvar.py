"""CVaR-DRO: the mean of the worst share alpha of the losses, whoever they belong to (no groups are needed).

    CVaR_alpha = min_tau  tau + E[(l - tau)+] / alpha            (Rockafellar & Uryasev, 2000, eq. 4)

tau is the (1 - alpha) quantile over the *global* micro-batch, so the result does not depend on how rows are spread over ranks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ltrec.objectives.draw import Gather


@dataclass(frozen=True, slots=True)
class CVaRConfig:
    """The worst losses alone."""

    name: str = "cvar"
    """Key in EMPHASES."""
    alpha: float = 0.5
    """Share of the examples that counts, in (0, 1]; 1 = the plain mean."""

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise ValueError(f"alpha must lie in (0, 1]; got {self.alpha}")


class CVaR:
    """tau + (l - tau)+ / alpha per example; an `Emphasis`. Its mean is the mean of the worst losses."""

    coupled = True

    def __init__(self, *, gather: Gather, alpha: float = 0.5) -> None:
        self.gather, self.alpha = gather, alpha

    def __call__(self, loss_N: Tensor) -> Tensor:
        """Losses [N] whose mean over the global micro-batch is CVaR."""
        every_N = self.gather(loss_N.detach())
        if not every_N.numel():
            return loss_N
        worst = max(1, math.ceil(self.alpha * every_N.numel()))
        tau = every_N.topk(worst).values[-1]
        return tau + (loss_N - tau).clamp(min=0) / self.alpha
