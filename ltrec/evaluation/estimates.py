"""Means over users with 95 % intervals, defined in one place so that the same users have the same interval everywhere.

Users are resampled in classes (`statistics.bootstrap`) that are computed once, over all users of a table, and the resamples are
seeded by the set of users. So a stratum with exactly the head's users, or a cell of the grid with a stratum's, has the same
interval. Several tables are training seeds of one method: means are over seeds, and intervals include their variance
(`statistics.seeds`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltrec.core import columns as c
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.metrics import is_share, per_user
from ltrec.evaluation.statistics.bootstrap import interval, key_of, rank_classes, resampled_means, value_classes
from ltrec.evaluation.statistics.seeds import with_seed_variance
from ltrec.evaluation.table import NUM_CANDIDATES, RANK, EvalTable

Values = dict[str, npt.NDArray[np.float64]]
"""Metric -> one value per seed and user [S, N]."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over users and the ends of its 95 % interval; NaN without users.

    `spread` is the standard deviation over training seeds; NaN with a single one.
    """

    mean: float
    low: float
    high: float
    spread: float = math.nan


@dataclass(frozen=True, slots=True)
class Measured:
    """The metrics of all users of a method's tables.

    Attributes:
        values: every metric [S, N].
        class_N: classes of users that are resampled together.
        order_N: the users' indices in the order of their keys.
        config: number of resamples, and seed.
    """

    values: Values
    class_N: npt.NDArray[np.int64]
    order_N: npt.NDArray[np.int64]
    config: EvaluationConfig

    def estimates(self, mask_N: npt.NDArray[np.bool_], names: Sequence[str] = ()) -> dict[str, Estimate]:
        """Mean, interval and spread of the named metrics (none = all) over the selected users, from one bootstrap."""
        kept = {name: self.values[name][:, mask_N] for name in names or self.values}
        if not mask_N.any():
            return {name: Estimate(math.nan, math.nan, math.nan) for name in kept}
        key = key_of(self.config.seed, mask_N[self.order_N])
        value_MN = [value_SN.mean(axis=0) for value_SN in kept.values()]
        means_RM = resampled_means(
            np.stack(value_MN, axis=1), self.class_N[mask_N], samples=self.config.bootstrap_samples, seed=key
        )
        for m, value_SN in enumerate(kept.values()):
            means_RM[:, m] = with_seed_variance(means_RM[:, m], value_SN, key)
        shares_M = np.array([is_share(name) for name in kept])  # with few seeds intervals are wide, and shares are bounded
        ends = (np.where(shares_M, end.clip(0, 1), end).tolist() for end in interval(means_RM))
        rows = zip(kept.items(), [float(value_N.mean()) for value_N in value_MN], *ends, strict=True)
        return {name: Estimate(mean, low, high, seed_spread(value_SN.mean(axis=1))) for (name, value_SN), mean, low, high in rows}


def measure(runs: Sequence[EvalTable], config: EvaluationConfig) -> Measured:
    """All metrics of all users of a method's tables, one per training seed, with users in the same order."""
    first = runs[0]
    found = [per_user(table.column(RANK), table.column(NUM_CANDIDATES), config.cutoffs, config.metrics) for table in runs]
    values = {name: np.stack([of_seed[name] for of_seed in found]) for name in found[0]}
    exact = len(runs) == 1  # then every rank up to the largest cutoff is a separate class
    class_N = rank_classes(first.column(RANK), exact=max(config.cutoffs)) if exact else value_classes(values["mrr"].mean(axis=0))
    return Measured(values, class_N, np.argsort(first.column(c.USER_KEY), kind="stable"), config)


def seed_spread(value_S: npt.NDArray[np.float64]) -> float:
    """Standard deviation over training seeds; NaN with a single one."""
    return float(value_S.std(ddof=1)) if len(value_S) > 1 else math.nan
