"""Focal loss (Lin et al., ICCV 2017, eq. 4): (1 - p)^gamma times the cross-entropy -log p of the true item.

p is read off the loss itself, exp(-loss), so it belongs to a loss that is a cross-entropy: softmax, exact or sampled.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltrec.objectives.draw import Gather


class Focal:
    """(1 - exp(-loss))^gamma * loss; an `Emphasis`."""

    coupled = False

    def __init__(self, *, gather: Gather, gamma: float = 2.0) -> None:
        del gather
        self.gamma = gamma

    def __call__(self, loss_N: Tensor) -> Tensor:
        """Focal losses [N]."""
        wrong_N = -torch.expm1(-loss_N)
        return wrong_N.clamp(min=torch.finfo(loss_N.dtype).tiny) ** self.gamma * loss_N
