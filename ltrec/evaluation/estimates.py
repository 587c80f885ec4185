"""Means over users with their 95 % intervals: one definition, by which the same users get the same interval wherever they stand.

Users are resampled in classes (`statistics.bootstrap`) that are found once, over all users of a table, and the draws are seeded by
who the users are. So a stratum that holds exactly the head's users, or a cell of the grid that holds a stratum's, has its interval.
Several tables are training seeds of one method: means are over them, and intervals hold their luck too (`statistics.seeds`).
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
from ltrec.evaluation.statistics.seeds import with_luck_of_seeds
from ltrec.evaluation.table import NUM_CANDIDATES, RANK, EvalTable

Values = dict[str, npt.NDArray[np.float64]]
"""By metric, one value per seed and user [S, N]."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over users and the ends of its 95 % interval; NaN where there are no users.

    `spread` is the standard deviation over training seeds; NaN with a single one.
    """

    mean: float
    low: float
    high: float
    spread: float = math.nan


@dataclass(frozen=True, slots=True)
class Measured:
    """The users of one method's tables, measured.

    Attributes:
        values: every metric [S, N].
        class_N: classes of users that are resampled together.
        order_N: their places in the order of their keys.
        config: resamples and root seed.
    """

    values: Values
    class_N: npt.NDArray[np.int64]
    order_N: npt.NDArray[np.int64]
    config: EvaluationConfig

    def estimates(self, mask_N: npt.NDArray[np.bool_], names: Sequence[str] = ()) -> dict[str, Estimate]:
        """Mean, interval and spread over the users picked, of the metrics named (none = all), from one resampling of them."""
        kept = {name: self.values[name][:, mask_N] for name in names or self.values}
        if not mask_N.any():
            return {name: Estimate(math.nan, math.nan, math.nan) for name in kept}
        key = key_of(self.config.seed, mask_N[self.order_N])
        value_MN = [value_SN.mean(axis=0) for value_SN in kept.values()]
        means_RM = resampled_means(
            np.stack(value_MN, axis=1), self.class_N[mask_N], samples=self.config.bootstrap_samples, seed=key
        )
        for m, value_SN in enumerate(kept.values()):
            means_RM[:, m] = with_luck_of_seeds(means_RM[:, m], value_SN, key)
        shares_M = np.array([is_share(name) for name in kept])  # few seeds reach far, and a share has two ends
        ends = (np.where(shares_M, end.clip(0, 1), end).tolist() for end in interval(means_RM))
        rows = zip(kept.items(), [float(value_N.mean()) for value_N in value_MN], *ends, strict=True)
        return {name: Estimate(mean, low, high, seed_spread(value_SN.mean(axis=1))) for (name, value_SN), mean, low, high in rows}


def measure(runs: Sequence[EvalTable], config: EvaluationConfig) -> Measured:
    """Every metric of every user of one method's tables, a training seed each, their users in one order."""
    first = runs[0]
    found = [per_user(table.column(RANK), table.column(NUM_CANDIDATES), config.cutoffs, config.metrics) for table in runs]
    values = {name: np.stack([of_seed[name] for of_seed in found]) for name in found[0]}
    exact = len(runs) == 1  # then every rank up to the largest cutoff is a class of its own
    class_N = rank_classes(first.column(RANK), exact=max(config.cutoffs)) if exact else value_classes(values["mrr"].mean(axis=0))
    return Measured(values, class_N, np.argsort(first.column(c.USER_KEY), kind="stable"), config)


def seed_spread(value_S: npt.NDArray[np.float64]) -> float:
    """Standard deviation over training seeds; NaN with a single one."""
    return float(value_S.std(ddof=1)) if len(value_S) > 1 else math.nan
