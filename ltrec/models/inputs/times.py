"""Time as model input: durations in logarithmic buckets, and points in time.

    bucket(d) = 0 for d <= 0, else 1 + floor(2 log2 d), at most 63        d in seconds: two buckets per octave, up to 68 years

If a log has an order but no times, d is a difference of positions in that order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ltrec.core.columns import NO_TIME
from ltrec.models.inputs.categories import INIT_STD
from ltrec.models.inputs.number import NumberNet

BUCKETS = 64

_HOUR, _DAY = 3600, 86400


def log_bucket(duration: Tensor) -> Tensor:
    """Buckets of durations; int64, the same shape."""
    exact = 2 * duration.clamp(min=1).double().log2()
    return torch.where(duration > 0, 1 + exact.long(), 0).clamp(max=BUCKETS - 1)


def gap_buckets(time_T: Tensor, first_T: Tensor) -> Tensor:
    """Buckets of the time since the previous event [T]; `BUCKETS` for the first event of a row (`first_T`)."""
    return log_bucket(time_T - time_T.roll(1)).masked_fill(first_T, BUCKETS)


def elapsed_buckets(groups: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """From the times of rectangles, each [rows, length, 1], to buckets int32 [rows, length (query), length (key)]."""
    return tuple(log_bucket(time_RL1 - time_RL1.transpose(1, 2)).int() for time_RL1 in groups)


class TimeGap(nn.Embedding):
    """Embedding of the time since the previous event: a vector per bucket.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__(BUCKETS + 1, width)
        nn.init.normal_(self.weight, std=INIT_STD)

    def forward(self, time_T: Tensor, first_T: Tensor) -> Tensor:  # type: ignore[override]
        """[T, D]; see `gap_buckets`."""
        return super().forward(gap_buckets(time_T, first_T))


class Moment(nn.Module):
    """Embedding of a point in time (UTC): hour of the day, day of the week, and a network of the standardised time.

    Args:
        width: D.
        mean, deviation: of training times, in seconds.
    """

    def __init__(self, width: int, *, mean: float = 0.0, deviation: float = 1.0) -> None:
        super().__init__()
        self.hour, self.day = nn.Embedding(24, width), nn.Embedding(7, width)
        for table in (self.hour, self.day):
            nn.init.normal_(table.weight, std=INIT_STD)
        self.trend = NumberNet(width, mean=mean, deviation=deviation)

    def forward(self, seconds_N: Tensor) -> Tensor:
        """Seconds since 1970, int64 [N] -> [N, D]; `NO_TIME` = missing."""
        missing_N = seconds_N == NO_TIME
        hour_ND = self.hour(seconds_N.div(_HOUR, rounding_mode="floor").remainder(24))
        day_ND = self.day(seconds_N.div(_DAY, rounding_mode="floor").remainder(7))
        clock_ND = (hour_ND + day_ND).masked_fill(missing_N[:, None], 0.0)
        vector_ND: Tensor = clock_ND + self.trend(seconds_N.double().masked_fill(missing_N, math.nan))
        return vector_ND
