"""A learned scale for every column, with a small initial value.

    g_c embed_c(value)        g_c = 0.1 initially

So an uninformative column does little harm: its vectors are initially a tenth of the id vectors, and remain so unless gradients
increase the scale.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SHARE = 0.1


class Gated(nn.Module):
    """A column's embedding and its scale.

    Args:
        embed: values [N, ...] -> vectors [N, D].
    """

    def __init__(self, embed: nn.Module) -> None:
        super().__init__()
        self.embed = embed
        self.share = nn.Parameter(torch.tensor([SHARE]))  # not a scalar, which FSDP2 cannot shard

    def forward(self, values: Tensor) -> Tensor:
        """Vectors [N, D]."""
        vectors_ND: Tensor = self.share * self.embed(values)
        return vectors_ND
