"""Strata: users grouped by activity, the confounder that PIN adjusts for.

Cuts fall *between* distinct activity values (ties forbid exact quantiles), are found on training events only, and travel with the
data in the manifest. The head is a cut of its own, nearest to the top fifth of the users, independent of K.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Strata:
    """K activity classes, least active first.

    Attributes:
        lower_bounds: smallest activity (training events) of each stratum, ascending; a user with activity a belongs to the last
            stratum whose bound is <= a, and to none (-1) below the first.
        users: training users per stratum.
        events: training events per stratum (before the history cap).
        head_from: smallest activity of a head user.
    """

    lower_bounds: tuple[int, ...]
    users: tuple[int, ...]
    events: tuple[int, ...]
    head_from: int

    @property
    def count(self) -> int:
        """K."""
        return len(self.lower_bounds)

    def of(self, activity: npt.NDArray[np.integer]) -> npt.NDArray[np.int8]:
        """Stratum index of each activity, -1 where it lies below the first bound. Shape kept."""
        return (np.searchsorted(np.asarray(self.lower_bounds), activity, side="right") - 1).astype(np.int8)

    def names(self) -> tuple[str, ...]:
        """Readable ranges such as ``5-8`` and ``21+``."""
        ends = [*(b - 1 for b in self.lower_bounds[1:]), None]
        return tuple(
            f"{lo}+" if hi is None else (f"{lo}" if lo == hi else f"{lo}-{hi}")
            for lo, hi in zip(self.lower_bounds, ends, strict=True)
        )

    def user_shares(self) -> tuple[float, ...]:
        """P(z) by users."""
        total = sum(self.users)
        return tuple(u / total for u in self.users)
