"""Numbers: standardised by training statistics, then a small network with a flag for missing values.

z = clip((x - mean) / deviation, -5, 5)        vector = W_2 relu(W_1 [z, missing] + b_1) + b_2
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltrec.models.inputs.categories import INIT_STD

MOST = 5.0
"""Standardised values are clipped here, so that one wrong price cannot dominate an item's vector."""


class NumberNet(nn.Module):
    """Embedding of a number.

    Args:
        width: D.
        mean, deviation: of training values, or of their logarithms with `log`.
        log: whether sign(x) log(1 + |x|) is used instead of x.
        hidden: width of the hidden layer.
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
