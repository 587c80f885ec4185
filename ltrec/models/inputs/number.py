"""Numbers: standardised by what training has seen, through a small net; a missing one says only that it is missing.

z = clip((x - mean) / deviation, -5, 5)        vector = W_2 relu(W_1 [z, missing] + b_1) + b_2
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltrec.models.inputs.categories import INIT_STD

MOST = 5.0
"""Deviations beyond which a number is no further away: one wrong price must not drown an item's vector."""


class NumberNet(nn.Module):
    """A number.

    Args:
        width: D.
        mean, deviation: of its training values, of their logarithms if those are taken.
        log: whether sign(x) log(1 + |x|) stands for x.
        hidden: width of the net's middle.
    """

    def __init__(self, width: int, *, mean: float = 0.0, deviation: float = 1.0, log: bool = False, hidden: int = 16) -> None:
        super().__init__()
        self.mean, self.deviation, self.log = mean, deviation if deviation > 0 else 1.0, log
        self.into, self.out = nn.Linear(2, hidden), nn.Linear(hidden, width)
        nn.init.normal_(self.into.weight)
        nn.init.uniform_(self.into.bias, -1, 1)
        nn.init.normal_(self.out.weight, std=INIT_STD / hidden**0.5)
        nn.init.zeros_(self.out.bias)

    def forward(self, values_N: Tensor) -> Tensor:
        """[N] -> [N, D]; NaN is a missing number."""
        exact_N, missing_N = values_N.double(), values_N.isnan()
        if self.log:
            exact_N = exact_N.sign() * exact_N.abs().log1p()
        standard_N = ((exact_N - self.mean) / self.deviation).clamp(-MOST, MOST).masked_fill(missing_N, 0.0)
        known_N2 = torch.stack([standard_N, missing_N.double()], 1).to(self.out.weight.dtype)
        vector_ND: Tensor = self.out(torch.relu(self.into(known_N2)))
        return vector_ND
