"""A discriminator behind a gradient reversal: it learns to classify states as head or tail users'; the states learn to prevent it.

    forward   logit = MLP(state)
    backward  the MLP gets its own gradient; the state gets it times -weight (Ganin & Lempitsky, ICML 2015)

So one loss, the discriminator's cross-entropy, trains both players: FRAGE's frequency-agnostic idea (Gong et al., NeurIPS 2018) on
sequences, as LTP uses it (KDD 2020, eqs. 9-10, with the signs that its text describes).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Discriminator(nn.Module):
    """State -> logit of "this is a head user's": one hidden layer.

    Args:
        width: D of the states.
        hidden: width of the hidden layer.
        weight: lambda, by which the reversed gradient is multiplied.
    """

    def __init__(self, width: int, *, hidden: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, states_ND: Tensor) -> Tensor:
        """Logits [N]."""
        reversed_ND = _Reverse.apply(states_ND, self.weight)  # type: ignore[no-untyped-call]
        logit_N1: Tensor = self.layers(reversed_ND)
        return logit_N1[:, 0]


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad.neg() * ctx.weight, None
