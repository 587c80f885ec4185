"""Categories: a learned vector for each, missing and unknown included; of a list of them, the mean."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

INIT_STD = 0.02
"""Standard deviation of what an input adds to a vector in the beginning: that of id vectors."""


class CategoryEmbedding(nn.Embedding):
    """One category.

    Args:
        size: number of ids, missing and unknown included.
        width: D.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__(size, width)
        nn.init.normal_(self.weight, std=INIT_STD)


class Bag(nn.Embedding):
    """A list of categories, padded with 0: the mean of their vectors, zero for an empty list.

    Args:
        size: number of ids, 0 included.
        width: D.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__(size, width, padding_idx=0)
        nn.init.normal_(self.weight, std=INIT_STD)
        self.weight.data[0].zero_()

    def forward(self, ids_NL: Tensor) -> Tensor:
        """[N, L] -> [N, D]."""
        return F.embedding_bag(ids_NL, self.weight, mode="mean", padding_idx=0)
