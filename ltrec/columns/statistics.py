"""Mean, standard deviation and range of values that arrive in chunks; the result is deterministic given the order of the chunks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Chunk = Sequence[Sequence[float]]


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
        self.fold(self.chunk(values, missing))

    def chunk(self, values: npt.NDArray[Any], missing: npt.NDArray[np.bool_]) -> Chunk:
        """What `fold` needs of a chunk, as numbers: chunks that are folded in order give the same result, bit for bit."""
        there = values[~missing].astype(np.float64)
        counts: list[float] = [len(values), int(missing.sum())]
        if not there.size:
            return [counts]
        ends, own = [float(there.min()), float(there.max())], _Spread.of(there)
        return (
            [counts, ends, own] if self._log is None else [counts, ends, own, _Spread.of(np.sign(there) * np.log1p(np.abs(there)))]
        )

    def fold(self, chunk: Chunk) -> None:
        """Add a chunk that `chunk` made."""
        (count, missing), *rest = chunk
        self.count += int(count)
        self.missing += int(missing)
        if rest:
            (least, greatest), own, *log = rest
            self.least, self.greatest = min(self.least, least), max(self.greatest, greatest)
            self._own.fold(own)
            if self._log is not None:
                self._log.fold(log[0])

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

    @staticmethod
    def of(values: npt.NDArray[np.float64]) -> list[float]:
        """Size, mean and the sum of squared differences from it."""
        mean = float(values.mean())
        return [values.size, mean, float(np.square(values - mean).sum())]

    def fold(self, chunk: Sequence[float]) -> None:
        size, mean, squares = int(chunk[0]), *chunk[1:]
        total = self.count + size
        step = mean - self.mean
        self._squares += squares + step * step * self.count * size / total
        self.mean += step * size / total
        self.count = total

    @property
    def deviation(self) -> float:
        return math.sqrt(self._squares / self.count)
