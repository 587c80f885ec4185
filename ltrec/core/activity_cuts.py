"""Where activity is cut: between distinct values (ties forbid exact quantiles), nearest to a wanted share of the users."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def head_bound(activity: Ints, users: Ints, share: float) -> int:
    """Smallest activity of the head: the cut with the user share above it nearest to `share` (equally near: the larger head).

    When all users are equally active there is no head, and the bound lies above them.
    """
    cut = nearest_cut(activity, users, 1 - Fraction(str(share)).limit_denominator(1000))
    return int(activity[-1]) + 1 if cut is None else cut


def nearest_cut(activity: Ints, users: Ints, below: Fraction) -> int | None:
    """The value to cut before so that the share of users under the cut is nearest to `below`; None when there is a single value.

    In whole numbers, so that equal distances are equal; the lowest of equally near cuts.
    """
    under = np.cumsum(users)
    if len(under) < 2:
        return None
    distance = np.abs(under[:-1] * below.denominator - int(under[-1]) * below.numerator)
    return int(activity[1 + int(np.argmin(distance))])
