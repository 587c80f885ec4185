"""Bootstrap over users: percentile intervals of means (Efron & Tibshirani 1993).

Resampling n users with replacement, thousands of times, reads n values each time. But users matter only through their values, so
users with equal values form a *class*, and a resample is a multinomial draw of class sizes: the same distribution for a fraction of
the work.

    counts_SC ~ Multinomial(n; class shares)         mean of a resample = counts_SC @ class means / n

Every rank up to the largest cutoff is a class, so metrics with a cutoff are exact. Other metrics (MRR and AUC over the whole
ranking, means over seeds) use many narrow classes; the resample *within* a class is a sum of independent values whose exact mean
and variance given the counts are known, and is approximated as normal. Both are tested against plain resampling.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from ltrec.core.hashing import mix

Floats = npt.NDArray[np.float64]
Classes = npt.NDArray[np.int64]


def rank_classes(rank_N: npt.NDArray[np.integer], exact: int, bins: int = 48) -> Classes:
    """Classes of users by rank: one per rank up to `exact`, the rest in `bins` narrow ones."""
    classes = np.minimum(rank_N.astype(np.int64), exact + 1) - 1
    rest = classes == exact
    classes[rest] += value_classes(rank_N[rest].astype(np.float64), bins)
    return classes


def value_classes(value_N: Floats, limit: int = 96) -> Classes:
    """Classes of users by value: one per distinct value if there are at most `limit`, else at most `limit` ranges of values.

    A range is bounded in users and in width (twice the fair share of both), so neither dense nor sparse regions are smoothed over;
    users with equal values are never separated.
    """
    distinct, index_N, size = np.unique(value_N, return_inverse=True, return_counts=True)
    if len(distinct) <= limit:
        return index_N.astype(np.int64)
    crowd = (np.cumsum(size) - size) / len(value_N)
    width = (distinct - distinct[0]) / (distinct[-1] - distinct[0])
    class_D: Classes = np.minimum((crowd + width) / 2 * limit, limit - 1).astype(np.int64)
    return class_D[index_N]


def resampled_means(value_NM: Floats, class_N: Classes, *, samples: int, seed: int) -> Floats:
    """Means of `samples` resamples of the users.

    Args:
        value_NM: M metrics of N >= 1 users.
        class_N: class of each user; values within a class are equal or nearly so.
        samples: S.
        seed: of the resamples.

    Returns:
        [S, M]. All columns share the same draws, so a column does not depend on the others.
    """
    draw = np.random.Generator(np.random.Philox(key=mix(seed)))
    _, class_N, size_C = np.unique(class_N, return_inverse=True, return_counts=True)
    mean_CM = _class_means(value_NM, class_N, size_C)
    variance_CM = _class_means((value_NM - mean_CM[class_N]) ** 2, class_N, size_C)
    count_SC = draw.multinomial(len(value_NM), size_C / len(value_NM), size=samples).astype(np.float64)
    total_SM = _by_column(count_SC, mean_CM)
    spread_M = variance_CM.max(axis=0) > (1e-9 * np.abs(mean_CM).max(axis=0)) ** 2  # beyond rounding
    if spread_M.any():
        within_SM = _by_column(count_SC, variance_CM[:, spread_M])
        total_SM[:, spread_M] += np.sqrt(within_SM) * draw.standard_normal(samples)[:, None]
    return total_SM / len(value_NM)


def _by_column(count_SC: Floats, value_CM: Floats) -> Floats:
    """The product, column by column, so that no column depends on the others, not even in the last digit (a matrix product may)."""
    return np.stack([count_SC @ np.ascontiguousarray(column) for column in value_CM.T], axis=1)


def _class_means(value_NM: Floats, class_N: Classes, size_C: Classes) -> Floats:
    return (
        np.stack([np.bincount(class_N, weights=column, minlength=len(size_C)) for column in value_NM.T], axis=1) / size_C[:, None]
    )


def interval(mean_SM: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Two-sided percentile interval of each column: lower and upper ends [M]."""
    low_M, high_M = np.quantile(mean_SM, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low_M, high_M


def key_of(seed: int, member_N: npt.NDArray[np.bool_]) -> int:
    """A seed for resampling a set of users: the same users have the same resamples, whatever their group is called.

    Args:
        seed: the general seed.
        member_N: whether each user belongs to the set, in the order of user keys.
    """
    held = np.packbits(member_N).tobytes() + len(member_N).to_bytes(8, "little")
    return mix(seed, int.from_bytes(hashlib.blake2b(held, digest_size=8).digest(), "little"))
