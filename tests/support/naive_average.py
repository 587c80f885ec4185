"""The average of weights, as one would write it on paper: every w_t by its share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def naive_average(path: Sequence[Tensor], ema: float, steps_per_epoch: int) -> Tensor:
    """The average after w_0, w_1, ... w_T, float64: sum of c_t w_t, with c_t = (1 - d_t) times all later d.

    Args:
        path: the weights before the first step and after each.
        ema: `trainer.ema`.
        steps_per_epoch: optimiser steps of an epoch.
    """
    limit = ema if ema < 1 else 1 - 1 / (ema * steps_per_epoch)
    decays = [min(limit, (1 + t) / (10 + t)) for t in range(len(path) - 1)]
    shares = [1.0, *(1 - d for d in decays)]
    total = torch.zeros_like(path[0], dtype=torch.float64)
    for t, weights in enumerate(path):
        later = 1.0
        for d in decays[t:]:
            later *= d
        total += shares[t] * later * weights.double()
    return total
