"""Given vectors (text or image embeddings), normalised and projected. Only the projection is trained."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.models.inputs.categories import INIT_STD


class Frozen(nn.Linear):
    """Projection of a given vector; a missing one, all zeros, stays zero.

    Args:
        size: width of the given vector.
        width: D.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__(size, width, bias=False)
        nn.init.normal_(self.weight, std=INIT_STD)

    def forward(self, vectors_NW: Tensor) -> Tensor:
        """[N, w] -> [N, D]."""
        return super().forward(F.normalize(vectors_NW.to(self.weight.dtype), dim=1))
