"""How much more evidence would decide? Sample sizes from the effect and the spread that were seen.

For a one-sided z-test of level alpha and power 1 - beta the standard error must not exceed |effect| / (z_alpha + z_beta). That of a
mean over n users and S seeds has two components,

    SE^2 = U / n + B / S        U: variance between users of their true effect,   B: variance between seeds of the mean

which one plans with as if what was seen were the truth. That is a guide, not a promise: an effect close to 0 is itself uncertain.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

POWER = 0.8


def largest_error(effect: float, alpha: float, power: float = POWER) -> float:
    """Standard error at which `effect` is found with the given power by a one-sided test of level `alpha`."""
    normal = NormalDist()
    return abs(effect) / (normal.inv_cdf(1 - alpha) + normal.inv_cdf(power))


def users_needed(change_SN: npt.NDArray[np.float64], alpha: float) -> int | None:
    """Users of this group that would decide the sign of the mean, at the present seeds; None when no number would.

    Args:
        change_SN: per seed and user, the quantity whose mean is tested against 0.
        alpha: level of the test.
    """
    change_N = change_SN.mean(axis=0)
    effect = float(change_N.mean())
    if effect == 0 or len(change_N) < 2:
        return None
    return max(2, math.ceil(float(change_N.var(ddof=1)) / largest_error(effect, alpha) ** 2))


def seeds_needed(change_SN: npt.NDArray[np.float64], alpha: float) -> int | None:
    """Seeds that would decide it on the present users; None when it cannot be told (one seed) or no number would."""
    num_seeds, num_users = change_SN.shape
    effect = float(change_SN.mean())
    if num_seeds < 2 or num_users < 2 or effect == 0:
        return None
    between_seeds = float(change_SN.mean(axis=1).var(ddof=1))
    residual_SN = change_SN - change_SN.mean(axis=0) - change_SN.mean(axis=1, keepdims=True) + effect
    noise = float((residual_SN**2).sum()) / ((num_seeds - 1) * (num_users - 1))
    between_users = max(0.0, float(change_SN.mean(axis=0).var(ddof=1)) - noise / num_seeds)
    left = largest_error(effect, alpha) ** 2 - between_users / num_users
    return math.ceil(between_seeds / left) if left > 0 else None
