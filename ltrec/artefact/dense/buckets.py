"""Buckets of durations (`ltrec.models.inputs.times`) that no runtime's logarithm can shift.

A runtime that computes log2(d) as log(d) / log(2) gets 2.9999999999999996 for 8, a bucket too few. Here the bucket that a logarithm
gives is only the first guess, and whole numbers decide: bucket b begins at `_begins(b)`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ltrec.models.inputs.times import BUCKETS, log_bucket


def exact_bucket(duration: Tensor) -> Tensor:
    """`log_bucket`, int64, shape kept."""
    begins_B = torch.tensor([_begins(bucket) for bucket in range(BUCKETS)] + [2**62], device=duration.device)
    guess = log_bucket(duration)
    guess = guess + (duration >= begins_B[guess + 1]).long()
    return guess - (duration < begins_B[guess]).long()


def exact_gaps(time_BW: Tensor) -> Tensor:
    """Bucket of the time since the event before [B, W]; `BUCKETS` for the first of a row."""
    first_BW = torch.arange(time_BW.shape[1], device=time_BW.device)[None, :] == 0
    return exact_bucket(time_BW - time_BW.roll(1, dims=1)).masked_fill(first_BW, BUCKETS)


def exact_elapsed(time_BW: Tensor) -> Tensor:
    """Buckets from a key (last) to a query, int32 [B, W, W]."""
    return exact_bucket(time_BW[:, :, None] - time_BW[:, None, :]).int()


def _begins(bucket: int) -> int:
    """The least duration of a bucket: the smallest d with d^2 >= 2^(bucket - 1)."""
    if bucket == 0:
        return -(2**62)
    root = math.isqrt(2 ** (bucket - 1))
    return root if root * root == 2 ** (bucket - 1) else root + 1
