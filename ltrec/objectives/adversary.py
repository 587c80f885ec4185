"""The adversary's loss, one number per position, to be added to the recommendation loss (LTP, eq. 10 with corrected signs).

    -[ R log p + (1 - R) log(1 - p) ]       R = 1 for a head user, p = discriminator(state)

Gradient reversal sits inside the discriminator, so one loss makes the discriminator better and the states harder to tell apart.
It is part of every training loss that is logged, and has two metrics of its own:

    adversary/loss        mean cross-entropy over positions; log 2 = 0.693 is chance
    adversary/accuracy    balanced accuracy: the mean of the shares of head users' and of tail users' positions classified
                          correctly; 1/2 is chance. Most positions are head users', so plain accuracy would reward a constant
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.models.discriminator import Discriminator


class Adversary(nn.Module):
    """Cross-entropy of a discriminator between head and tail users.

    Args:
        width: D of the states.
        head_strata: the strata that are head; all others are tail.
        hidden, weight: see `AdversaryConfig`.
    """

    head_strata: Tensor

    def __init__(self, width: int, head_strata: tuple[int, ...], *, hidden: int, weight: float) -> None:
        super().__init__()
        self.discriminator = Discriminator(width, hidden=hidden, weight=weight)
        self.register_buffer("head_strata", torch.tensor(head_strata), persistent=False)
        self._verdicts: Tensor | None = None

    def forward(self, batch: SequenceBatch, states_TD: Tensor) -> Tensor:
        """Loss of every position that has a target [N]."""
        stratum_N = batch.of_targets(batch.stratum_of_position())
        head_N = torch.isin(stratum_N, self.head_strata)
        logit_N = self.discriminator(batch.of_targets(states_TD))
        loss_N = F.binary_cross_entropy_with_logits(logit_N, head_N.to(logit_N.dtype), reduction="none")
        self._remember(head_N, (logit_N > 0) == head_N, loss_N.detach())
        return loss_N

    def _remember(self, head_N: Tensor, right_N: Tensor, loss_N: Tensor) -> None:
        entries_N3 = torch.stack([torch.ones_like(loss_N), right_N.to(loss_N.dtype), loss_N], 1).double()
        seen = entries_N3.new_zeros(2, 3).index_add(0, head_N.long(), entries_N3)
        self._verdicts = seen if self._verdicts is None else self._verdicts + seen

    def take(self) -> Tensor:
        """Counts since the last call, float64 [2, 3]: positions of tail and head users, the correct ones, sum of losses."""
        taken, self._verdicts = self._verdicts, None
        nothing = torch.zeros(2, 3, dtype=torch.float64, device=next(self.parameters()).device)
        return nothing if taken is None else taken


def adversary_metrics(verdicts: Tensor) -> dict[str, float]:
    """The metrics above from a sum of `Adversary.take`'s values; without those that are non-finite or lack users."""
    count_C, right_C, loss_C = verdicts.unbind(1)
    line = {"adversary/loss": float(loss_C.sum() / count_C.sum()), "adversary/accuracy": float((right_C / count_C).mean())}
    return {key: value for key, value in line.items() if math.isfinite(value)}
