"""Mean, spread and ends of values that come in pieces; the result depends on the pieces' order alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt


class Moments:
    """Counts of a column's values, and the moments of those that are finite.

    Args:
        log: take sign(x) log(1 + |x|) of each as well.
    """

    def __init__(self, log: bool = False) -> None:
        self.count = self.missing = 0
        self.least, self.greatest = math.inf, -math.inf
        self._own = _Spread()
        self._log = _Spread() if log else None

    def add(self, values: npt.NDArray[Any], missing: npt.NDArray[np.bool_]) -> None:
        """Count a piece.

        Args:
            values: [N] or [N, width].
            missing: [N], where there is none.
        """
        self.count += len(values)
        self.missing += int(missing.sum())
        there = values[~missing].astype(np.float64)
        if there.size:
            self.least, self.greatest = min(self.least, float(there.min())), max(self.greatest, float(there.max()))
            self._own.add(there)
            if self._log is not None:
                self._log.add(np.sign(there) * np.log1p(np.abs(there)))

    def result(self) -> dict[str, float]:
        """Share missing and, where there are values, mean, standard deviation, least, greatest; log_mean and log_deviation."""
        share = {"missing": self.missing / self.count if self.count else 0.0}
        if not self._own.count:
            return share
        found = {"mean": self._own.mean, "deviation": self._own.deviation, "least": self.least, "greatest": self.greatest}
        if self._log is not None:
            found |= {"log_mean": self._log.mean, "log_deviation": self._log.deviation}
        return share | found


class _Spread:
    """Mean and standard deviation, a piece at a time (Chan et al.): no difference of large sums."""

    def __init__(self) -> None:
        self.count, self.mean, self._squares = 0, 0.0, 0.0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        mean, total = float(values.mean()), self.count + values.size
        step = mean - self.mean
        self._squares += float(np.square(values - mean).sum()) + step * step * self.count * values.size / total
        self.mean += step * values.size / total
        self.count = total

    @property
    def deviation(self) -> float:
        return math.sqrt(self._squares / self.count)
