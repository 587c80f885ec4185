"""Embeddings of categories, including missing and unknown; a list of categories has the mean of its embeddings."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

INIT_STD = 0.02
"""Initial standard deviation of embeddings: that of id vectors."""


class CategoryEmbedding(nn.Embedding):
    """Embedding of one category.

    Args:
        size: number of ids, including missing and unknown.
        width: D.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__(size, width)
        nn.init.normal_(self.weight, std=INIT_STD)


class Bag(nn.Embedding):
    """Embedding of a list of categories, padded with 0: the mean of their vectors, zero for an empty list.

    Args:
        size: number of ids, including 0.
        width: D.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__(size, width, padding_idx=0)
        nn.init.normal_(self.weight, std=INIT_STD)
        self.weight.data[0].zero_()

    def forward(self, ids_NL: Tensor) -> Tensor:
        """[N, L] -> [N, D]."""
        return F.embedding_bag(ids_NL, self.weight, mode="mean", padding_idx=0)
