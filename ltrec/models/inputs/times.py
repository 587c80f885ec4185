"""Time as models see it: logarithmic buckets of how long, and the calendar.

    bucket(d) = 0 for d <= 0, else 1 + floor(2 log2 d), at most 63        d in seconds: two buckets to an octave, up to 68 years

Where a log has an order but no times, d counts what the order counts.
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
    """Bucket of durations, int64, shape kept."""
    exact = 2 * duration.clamp(min=1).double().log2()
    return torch.where(duration > 0, 1 + exact.long(), 0).clamp(max=BUCKETS - 1)


def gap_buckets(time_T: Tensor, first_T: Tensor) -> Tensor:
    """Bucket of the time since the event before [T]; `BUCKETS` for the `first_T` event of a row, which has none before it."""
    return log_bucket(time_T - time_T.roll(1)).masked_fill(first_T, BUCKETS)


def elapsed_buckets(groups: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Of times of rectangles, each [rows, length, 1]: buckets int32 [rows, length, length] from a key (last) to a query."""
    return tuple(log_bucket(time_RL1 - time_RL1.transpose(1, 2)).int() for time_RL1 in groups)


class TimeGap(nn.Embedding):
    """How long after the event before an event happened: a learned vector per bucket.

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
    """A point in time (UTC): a learned vector for its hour of the day and its day of the week, and a net of how late it is.

    Args:
        width: D.
        mean, deviation: of training moments, in seconds.
    """

    def __init__(self, width: int, *, mean: float = 0.0, deviation: float = 1.0) -> None:
        super().__init__()
        self.hour, self.day = nn.Embedding(24, width), nn.Embedding(7, width)
        for table in (self.hour, self.day):
            nn.init.normal_(table.weight, std=INIT_STD)
        self.trend = NumberNet(width, mean=mean, deviation=deviation)

    def forward(self, seconds_N: Tensor) -> Tensor:
        """Seconds since 1970, int64 [N] -> [N, D]; `NO_TIME` is a missing moment."""
        missing_N = seconds_N == NO_TIME
        hour_ND = self.hour(seconds_N.div(_HOUR, rounding_mode="floor").remainder(24))
        day_ND = self.day(seconds_N.div(_DAY, rounding_mode="floor").remainder(7))
        clock_ND = (hour_ND + day_ND).masked_fill(missing_N[:, None], 0.0)
        vector_ND: Tensor = clock_ND + self.trend(seconds_N.double().masked_fill(missing_N, math.nan))
        return vector_ND
