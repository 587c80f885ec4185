"""The only things that are ever reduced over ranks are sums, counts and sums of weights; division comes last, once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class SumCount:
    """Per-stratum sums and counts, both of shape [K]. An empty stratum has count 0, never NaN.

    Attributes:
        sum_K: sums of values, each multiplied by its weight if it has one.
        count_K: how many, int64.
        weight_K: sums of the weights, float64; None: every value weighs one.
    """

    sum_K: Tensor
    count_K: Tensor
    weight_K: Tensor | None = None

    @staticmethod
    def of(values_N: Tensor, stratum_N: Tensor, num_strata: int, weight_N: Tensor | None = None) -> SumCount:
        """Add up `values_N`, and their weights, by stratum; entries with a negative stratum have a sum of their own, which is left
        out. (Selecting them would make the host wait for their number.)"""
        place_N = torch.where(stratum_N < 0, num_strata, stratum_N)

        def summed(entries_N: Tensor) -> Tensor:
            return entries_N.new_zeros(num_strata + 1).index_add(0, place_N, entries_N)[:num_strata]

        weight_K = None if weight_N is None else summed(weight_N.double())
        return SumCount(summed(values_N), summed(torch.ones_like(place_N)), weight_K)

    def __add__(self, other: SumCount) -> SumCount:
        weight_K = None if self.weight_K is None or other.weight_K is None else self.weight_K + other.weight_K
        return SumCount(self.sum_K + other.sum_K, self.count_K + other.count_K, weight_K)

    @property
    def divisor_K(self) -> Tensor:
        """The divisors of sums [K]: weights if there are any, else counts."""
        return self.count_K if self.weight_K is None else self.weight_K

    def mean(self) -> Tensor:
        """Overall mean over all strata, a scalar; 0 when nothing was counted."""
        return self.sum_K.sum() / or_one(self.divisor_K.sum())

    def mean_K(self) -> Tensor:
        """Mean per stratum [K]; NaN marks an empty stratum (for display only)."""
        return torch.where(self.count_K > 0, self.sum_K / or_one(self.divisor_K), torch.nan)


def or_one(divisor: Tensor) -> Tensor:
    """The same, and 1 for a 0: of nothing, the sum is 0 as well. (A sum of weights may lie between them.)"""
    return torch.where(divisor > 0, divisor, 1)
