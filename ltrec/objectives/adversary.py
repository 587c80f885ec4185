"""The adversary's loss, one number per position, to be added to the recommendation loss (LTP, eq. 10 with corrected signs).

    -[ R log p + (1 - R) log(1 - p) ]       R = 1 for a head user, p = discriminator(state)

Gradient reversal sits inside the discriminator, so one loss makes the discriminator better and the states harder to tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.models.discriminator import Discriminator


@dataclass(frozen=True, slots=True)
class AdversaryConfig:
    """The head/tail discriminator."""

    weight: float = 0.0
    """Lambda: how strongly states are pushed to hide whether a user is head or tail; 0 = no discriminator."""
    hidden: int = 64
    """Width of the discriminator's hidden layer."""

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"weight must not be negative; got {self.weight}")
        if self.hidden < 1:
            raise ValueError(f"hidden must be at least 1; got {self.hidden}")


class Adversary(nn.Module):
    """Cross-entropy of a discriminator between head and tail users.

    Args:
        width: D of the states.
        head_strata: the strata that are head; all others are tail.
        hidden, weight: see `AdversaryConfig`.
    """

    def __init__(self, width: int, head_strata: tuple[int, ...], *, hidden: int, weight: float) -> None:
        super().__init__()
        self.discriminator = Discriminator(width, hidden=hidden, weight=weight)
        self.head_strata = head_strata

    def forward(self, batch: SequenceBatch, states_TD: Tensor) -> Tensor:
        """Loss of every position [T]."""
        head_T = torch.isin(batch.stratum_of_position(), torch.tensor(self.head_strata, device=states_TD.device))
        return F.binary_cross_entropy_with_logits(self.discriminator(states_TD), head_T.to(states_TD.dtype), reduction="none")
