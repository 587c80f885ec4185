"""The result of counting: for every item its neighbours, largest weight first.

Letters: V items, N neighbours per item.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ltrec.core.storage.canonical import canonical_json


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The N neighbours of each item.

    Attributes:
        item_VN: int32 [V+1, N], neighbours of every item by descending weight (equal weights: the lower id first); 0 = none. Row 0
            is for padding, and empty.
        weight_VN: float32 [V+1, N], their weights, above 0; 0 = no neighbour.
        made_of: what they were counted from and how: the data set's digest and the options.
    """

    item_VN: Tensor
    weight_VN: Tensor
    made_of: dict[str, Any]

    @property
    def num_items(self) -> int:
        """V."""
        return self.item_VN.shape[0] - 1

    @property
    def digest(self) -> str:
        """Hex sha256 of the neighbours and of `made_of`."""
        digest = hashlib.sha256(canonical_json(self.made_of).encode())
        for tensor in (self.item_VN, self.weight_VN):
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def to(self, device: torch.device | str) -> Neighbours:
        """A copy with its tensors on `device`."""
        return Neighbours(self.item_VN.to(device), self.weight_VN.to(device), self.made_of)
