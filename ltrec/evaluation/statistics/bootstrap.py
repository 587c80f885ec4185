"""Bootstrap over users: how would a mean move had other users been drawn? (Efron & Tibshirani 1993, percentile intervals.)

Resampling n users with replacement, thousands of times, reads n values each time. But a user enters only through his values, so
users of equal values are one *class*, and a resample is a multinomial draw of class sizes: the same distribution, a fraction of the
work.

    counts_SC ~ Multinomial(n; class shares)         mean of a resample = counts_SC @ class means / n

Ranks up to the largest cutoff are a class each, so every metric that is cut there is exact. What varies on (the uncut MRR, AUC,
means over seeds) is put into many narrow classes; the draw *within* them is a sum of independent values whose exact mean and
variance given the counts are known, and is taken as normal. Both forms are tested against plain resampling.
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
    """Classes of users by value: one per distinct value when there are at most `limit`, else at most `limit` runs of neighbours.

    A run is bounded in users and in width (twice the fair share of both), so neither a crowd nor a long thin tail is smoothed over;
    users of equal value are never parted.
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
        class_N: users of one class have equal, or nearly equal, values.
        samples: S.
        seed: the same seed, the same resamples.

    Returns:
        [S, M]. The columns share all that is drawn, so that a column comes out the same whatever stands beside it.
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
    """The product, whose columns do not hang on each other, not even in the last digit, as they may in one product of matrices."""
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
    """The seed of the resamples of some of the users: the same users, the same resamples, whatever their group is called.

    Args:
        seed: root.
        member_N: whether each user is one of them, users in the order of their keys.
    """
    held = np.packbits(member_N).tobytes() + len(member_N).to_bytes(8, "little")
    return mix(seed, int.from_bytes(hashlib.blake2b(held, digest_size=8).digest(), "little"))
