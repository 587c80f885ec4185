"""The only things that are ever reduced over ranks are sums and counts; division comes last, once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class SumCount:
    """Per-stratum sums and counts, both of shape [K]. An empty stratum has count 0, never NaN."""

    sum_K: Tensor
    count_K: Tensor

    @staticmethod
    def of(values_N: Tensor, stratum_N: Tensor, num_strata: int) -> SumCount:
        """Add up `values_N` by stratum; entries with a negative stratum are left out by selection."""
        kept = stratum_N >= 0
        index, values = stratum_N[kept], values_N[kept]
        total = torch.zeros(num_strata, dtype=values.dtype, device=values.device).index_add(0, index, values)
        return SumCount(total, torch.bincount(index, minlength=num_strata))

    def __add__(self, other: SumCount) -> SumCount:
        return SumCount(self.sum_K + other.sum_K, self.count_K + other.count_K)

    def mean(self) -> Tensor:
        """Overall mean over all strata, a scalar; 0 when nothing was counted."""
        return self.sum_K.sum() / self.count_K.sum().clamp(min=1)

    def mean_K(self) -> Tensor:
        """Mean per stratum [K]; NaN marks an empty stratum (for display only)."""
        return torch.where(self.count_K > 0, self.sum_K / self.count_K.clamp(min=1), torch.nan)
