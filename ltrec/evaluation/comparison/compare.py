"""Paired comparison of two scorers: what the other one gains or loses against the base, user by user.

Both are judged on the same users, so the user is his own control: his two values are subtracted first and only the differences are
resampled. With several seeds a user's difference is the mean over seeds, and intervals and p-values hold the luck of the seeds as
well as that of the users (`seeds`); with one seed they know of other *users* only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ltrec.evaluation.comparison.pairing import Floats, Paired, pair
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.estimates import Estimate, seed_spread
from ltrec.evaluation.groups import Group, groups, place_of
from ltrec.evaluation.metrics import METRICS, nearest_cutoff
from ltrec.evaluation.statistics.bootstrap import interval
from ltrec.evaluation.statistics.seeds import resampled
from ltrec.evaluation.table import EvalTable, Protocol
from ltrec.evaluation.targets import ITEM_STRATA as TARGET_GROUPS
from ltrec.evaluation.targets import target_groups


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric in one group of users.

    Attributes:
        base: mean of the base scorer.
        other: mean of the other.
        change: other - base with its 95 % interval: over users and seeds, over users alone with a single seed.
        relative: change as a share of the base; NaN where the base is 0.
        p_gain: one-sided p-value of "no gain" against "the other is better", over what the interval is over.
        seed_spread: standard deviation of the change over seeds; NaN with a single seed.
    """

    base: float
    other: float
    change: Estimate
    relative: float
    p_gain: float
    seed_spread: float

    def share(self) -> Estimate:
        """The change and the ends of its interval as shares of the base, which is taken as it is; NaN where the base is 0."""
        whole = self.base or math.nan
        return Estimate(self.change.mean / whole, self.change.low / whole, self.change.high / whole)


@dataclass(frozen=True, slots=True)
class GroupComparison:
    """One group of users; `metrics` is empty when it has none."""

    key: str
    label: str
    users: int
    metrics: dict[str, Difference]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The other scorer against the base, by group, in the order of a report; `targets`: of users by their target."""

    base: str
    other: str
    protocol: Protocol
    seeds: tuple[int | None, ...]
    groups: dict[str, GroupComparison]
    targets: dict[str, GroupComparison]

    def to_dict(self) -> dict[str, Any]:
        """JSON values only; NaN becomes null."""
        return asdict(self, dict_factory=lambda pairs: {k: None if v != v else v for k, v in pairs})

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Comparison:
        """What `to_dict` gave, after a journey through JSON, which may have changed the order of the groups."""
        ordered = sorted(values["groups"].values(), key=lambda group: place_of(group["key"]))
        found = {group["key"]: _group_from(group) for group in ordered}
        targets = {key: _group_from(values["targets"][key]) for key in TARGET_GROUPS if key in values["targets"]}
        return Comparison(values["base"], values["other"], Protocol(**values["protocol"]), tuple(values["seeds"]), found, targets)


def compare(
    *,
    base: Sequence[EvalTable],
    other: Sequence[EvalTable],
    config: EvaluationConfig | None = None,
    metrics: Sequence[str] | None = None,
) -> Comparison:
    """Differences between two scorers, each given by one table per training seed.

    Args:
        base: what to compare with.
        other: what is in question.
        config: cutoffs, resamples, seed.
        metrics: names; None takes HR, NDCG and MRR at the cutoff nearest to 10, and what `config.metrics` names.

    Raises:
        UserError: when the two may not be compared, naming what differs.
    """
    config = config or EvaluationConfig()
    return compared(pair(base=base, other=other), config, default_metrics(config) if metrics is None else metrics)


def default_metrics(config: EvaluationConfig) -> list[str]:
    """HR, NDCG and MRR at the cutoff nearest to 10, and those that the config adds."""
    k = nearest_cutoff(config.cutoffs)
    more = [key for name in config.metrics for key in METRICS[name].keys([k])]
    return [f"hr@{k}", f"ndcg@{k}", f"mrr@{k}", *more]


def compared(paired: Paired, config: EvaluationConfig, metrics: Sequence[str]) -> Comparison:
    """`compare`, of runs that are paired already."""
    values, table = {name: paired.values(name) for name in metrics}, paired.base[0]

    def compared_in(group: Group) -> GroupComparison:
        shown = metrics if group.users else ()
        differences = {name: difference(*values[name], group.mask_N, config) for name in shown}
        return GroupComparison(group.key, group.label, group.users, differences)

    found = {group.key: compared_in(group) for group in groups(table, config.head_from)}
    targets = {group.key: compared_in(group) for group in target_groups(table, config.item_shares)}
    base, other = paired.names
    return Comparison(base, other, table.protocol, paired.seeds, found, targets)


def difference(base_SN: Floats, other_SN: Floats, mask_N: npt.NDArray[np.bool_], config: EvaluationConfig) -> Difference:
    """Paired difference of one metric over the users picked, at least one. Rows are seeds, columns users in order of their keys."""
    base_Sn, other_Sn = base_SN[:, mask_N], other_SN[:, mask_N]
    change_Sn, means_R = other_Sn - base_Sn, resampled(other_SN - base_SN, mask_N, config)
    low, high = interval(means_R[:, None])
    base, change = float(base_Sn.mean()), float(change_Sn.mean())
    return Difference(
        base=base,
        other=float(other_Sn.mean()),
        change=Estimate(change, float(low[0]), float(high[0])),
        relative=change / base if base else math.nan,
        p_gain=p_not_above_zero(means_R),
        seed_spread=seed_spread(change_Sn.mean(axis=1)),
    )


def _group_from(values: Mapping[str, Any]) -> GroupComparison:
    metrics = {name: _difference_from(found) for name, found in values["metrics"].items()}
    return GroupComparison(**{**values, "metrics": metrics})


def _difference_from(values: Mapping[str, Any]) -> Difference:
    change = Estimate(**_with_nan(values["change"]))
    return Difference(**{**_with_nan(values), "change": change})


def _with_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: math.nan if value is None else value for key, value in values.items()}


def p_not_above_zero(means_R: npt.NDArray[np.float64]) -> float:
    """One-sided p-value of a mean that is not above 0: the share of resamples at or below it, never exactly 0.

    Rounding decides nothing: what is 0 up to rounding counts as 0, so two equal runs have p = 1.
    """
    return float((1 + np.count_nonzero(means_R <= 1e-12)) / (1 + len(means_R)))
