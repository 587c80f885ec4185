"""Presence: how often a step holds a stratum at all, when users are drawn pass after pass in random order."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def presence(rows_K: Tensor, drawn: int) -> Tensor:
    """Probability that a step has a row of each stratum, float64 [K], averaged over the steps of a long run.

    Rows are drawn without replacement: the draws are one permutation of all n rows after the other, cut into steps of B. Of B
    draws within a pass none falls on R given rows with probability

        absent(B) = product over i < B of (1 - R / (n - i))  <=  (1 - q)^B,    q = R / n,

    the right side being its limit for large n. A step that straddles two passes, with a draws left in the first one, misses
    the stratum with probability absent(a) absent(B - a). Over the run a takes every multiple of gcd(n, B) up to n equally often,
    and all a >= B are alike. So presence is 1 - (1 - q)^B for n -> infinity, and 1 for a stratum that has the pool to itself.

    Args:
        rows_K: rows of each stratum in the pool that is drawn from [K].
        drawn: B, rows per step.
    """
    rows = int(rows_K.sum())
    if not rows or not drawn:
        return torch.zeros(len(rows_K), dtype=torch.float64)
    most, stride = min(rows, drawn), math.gcd(rows, drawn)
    left = torch.arange(stride, most + 1, stride)
    steps = torch.ones(len(left), dtype=torch.float64)
    steps[-1] += (rows - most) // stride
    log_absent = _log_absent(rows_K, rows, most)
    missed = log_absent[left] + log_absent[(drawn - left).clamp(max=rows)]
    return steps @ -torch.expm1(missed) / steps.sum()


def _log_absent(rows_K: Tensor, rows: int, most: int) -> Tensor:
    """log absent(b) for b = 0 .. most, [most + 1, K]; -inf once the stratum must have been drawn. Sums of logarithms, for with
    a billion rows the usual log-gamma differences keep no digit of a rare stratum."""
    left = rows - torch.arange(most, dtype=torch.float64)
    log_miss = torch.log1p(-(rows_K.double() / left[:, None]).clamp(max=1.0))
    return torch.cat([torch.zeros(1, len(rows_K), dtype=torch.float64), log_miss.cumsum(0)])
