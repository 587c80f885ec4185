"""Mean, standard deviation and range of values that arrive in chunks; the result is deterministic given the order of the chunks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt


class Moments:
    """Counts of a column's values, and moments of those that are present.

    Args:
        log: also compute the moments of sign(x) log(1 + |x|).
    """

    def __init__(self, log: bool = False) -> None:
        self.count = self.missing = 0
        self.least, self.greatest = math.inf, -math.inf
        self._own = _Spread()
        self._log = _Spread() if log else None

    def add(self, values: npt.NDArray[Any], missing: npt.NDArray[np.bool_]) -> None:
        """Add a chunk.

        Args:
            values: [N] or [N, width].
            missing: [N], true where a value is missing.
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
        """Share missing and, if there are values, mean, deviation, least, greatest; with `log` also log_mean and log_deviation."""
        share = {"missing": self.missing / self.count if self.count else 0.0}
        if not self._own.count:
            return share
        found = {"mean": self._own.mean, "deviation": self._own.deviation, "least": self.least, "greatest": self.greatest}
        if self._log is not None:
            found |= {"log_mean": self._log.mean, "log_deviation": self._log.deviation}
        return share | found


class _Spread:
    """Mean and standard deviation, updated chunk by chunk (Chan et al., 1979), which avoids differences of large sums."""

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
