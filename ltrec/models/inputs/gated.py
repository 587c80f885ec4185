"""A column's share: how much of what its module says is listened to, learned from a small beginning.

    g_c embed_c(value)        g_c begins at 0.1

A column that says nothing then costs next to nothing: its vectors are at first a tenth of the ids', and stay so where no gradient
asks for more.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SHARE = 0.1


class Gated(nn.Module):
    """A column's module and its share.

    Args:
        embed: values [N, ...] -> vectors [N, D].
    """

    def __init__(self, embed: nn.Module) -> None:
        super().__init__()
        self.embed = embed
        self.share = nn.Parameter(torch.tensor([SHARE]))  # not a scalar: FSDP2 shards none

    def forward(self, values: Tensor) -> Tensor:
        """Vectors [N, D]."""
        vectors_ND: Tensor = self.share * self.embed(values)
        return vectors_ND
