"""Power analysis: the number of users or seeds that would decide, given the observed effect and variance.

The error of a mean over n users and S seeds has two parts (`seeds`),

    SE^2 = U / n  +  (B + E / n) / S        U: between users,   B: between seeds,   E: residual

of which the first is estimated well and normal, and the second has S - 1 degrees of freedom and Student's t distribution. Quantiles
of the sum are close to the root of the summed squares, so a one-sided test of level alpha detects an effect with the desired power
if

    |effect| >= q(1 - alpha) + q(power),        q(p)^2 = z_p^2 U / n  +  t_p^2 (B + E / n) / S

(within .02 of a power of .8 for S >= 3 by simulation). The observed effect and variances are treated as the true ones, so this is
only a guide: an effect close to 0 is itself uncertain, and so is B from three seeds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from math import hypot, pi, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from ltrec.evaluation.statistics.seeds import Variances, variances

POWER = 0.8
MOST_USERS, MOST_SEEDS = 10**9, 1000
"""Larger numbers of users and of seeds are not realistic and not reported."""


def smallest_effect(found: Variances, num_users: int, num_seeds: int, alpha: float, power: float = POWER) -> float:
    """The smallest effect that a one-sided test of level `alpha` detects with this power, users and seeds (2 or more)."""
    of_users = sqrt(found.users / num_users)
    of_seeds = sqrt((found.seeds + found.noise / num_users) / num_seeds)
    return sum(hypot(NormalDist().inv_cdf(p) * of_users, student_quantile(p, num_seeds - 1) * of_seeds) for p in (1 - alpha, power))


def users_needed(change_SN: npt.NDArray[np.float64], alpha: float) -> int | None:
    """Number of users of this group that would decide the sign of the mean, with the present seeds.

    Args:
        change_SN: per seed and user, the quantity whose mean is tested against 0.
        alpha: level of the test.

    Returns:
        None if no number up to `MOST_USERS` would (too few seeds, or no effect), or it is unknown (one seed).
    """
    if not _can_plan(change_SN):
        return None
    found, effect, num_seeds = variances(change_SN), abs(float(change_SN.mean())), len(change_SN)
    return _first(range(2, MOST_USERS + 1), lambda n: smallest_effect(found, n, num_seeds, alpha) <= effect)


def seeds_needed(change_SN: npt.NDArray[np.float64], alpha: float) -> int | None:
    """Number of seeds that would decide it on the present users; None if no number up to `MOST_SEEDS` would, or it is unknown."""
    if not _can_plan(change_SN):
        return None
    found, effect, num_users = variances(change_SN), abs(float(change_SN.mean())), change_SN.shape[1]
    return _first(range(2, MOST_SEEDS + 1), lambda s: smallest_effect(found, num_users, s, alpha) <= effect)


def _can_plan(change_SN: npt.NDArray[np.float64]) -> bool:
    return min(change_SN.shape) > 1 and float(change_SN.mean()) != 0


def _first(numbers: range, enough: Callable[[int], bool]) -> int | None:
    """The smallest of `numbers` that is enough; all larger ones must be enough too."""
    place = bisect_left(numbers, True, key=enough)
    return numbers[place] if place < len(numbers) else None


@lru_cache(maxsize=256)
def student_quantile(p: float, df: int) -> float:
    """Quantile of Student's t, to about four digits.

    With x = sqrt(df) tan(angle) its density is proportional to cos(angle)^(df - 1), which is summed on a grid.
    """
    if df > 10_000:  # too narrow for the grid, and normal to four digits
        return NormalDist().inv_cdf(p)
    angle, step = np.linspace(-pi / 2, pi / 2, 20_001, retstep=True)
    weight = np.cos(angle[1:] - step / 2) ** (df - 1)
    below = np.concatenate([[0.0], np.cumsum(weight)])
    return sqrt(df) * float(np.tan(np.interp(p, below / below[-1], angle)))
