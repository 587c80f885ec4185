"""Paired comparison of two scorers: what the other one gains or loses against the base, user by user.

Both are evaluated on the same users, so every user is their own control: the two values are subtracted first, and only the
differences are resampled. With several seeds a user's difference is the mean over seeds, and intervals and p-values account for the
variance of seeds as well as of users (`seeds`); with one seed they account for *users* only.
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
from ltrec.evaluation.groups.targets import ITEM_STRATA, target_groups
from ltrec.evaluation.groups.users import Group, groups, sort_key
from ltrec.evaluation.metrics import METRICS, nearest_cutoff
from ltrec.evaluation.statistics.bootstrap import interval
from ltrec.evaluation.statistics.seeds import resampled
from ltrec.evaluation.table import EvalTable, Protocol


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric in one group of users.

    Attributes:
        base: mean of the base scorer.
        other: mean of the other.
        change: other - base with its 95 % interval: over users and seeds; with a single seed over users only.
        relative: change as a share of the base; NaN if the base is 0.
        p_gain: one-sided p-value of "no gain" against "the other is better", like the interval over users and seeds.
        seed_spread: standard deviation of the change over seeds; NaN with a single seed.
    """

    base: float
    other: float
    change: Estimate
    relative: float
    p_gain: float
    seed_spread: float

    def share(self) -> Estimate:
        """The change and its interval as shares of the base, which is treated as exact; NaN if the base is 0."""
        whole = self.base or math.nan
        return Estimate(self.change.mean / whole, self.change.low / whole, self.change.high / whole)


@dataclass(frozen=True, slots=True)
class GroupComparison:
    """One group of users; `metrics` is empty if it has no users."""

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
        """As JSON values; NaN becomes null."""
        return asdict(self, dict_factory=lambda pairs: {k: None if v != v else v for k, v in pairs})

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Comparison:
        """From the result of `to_dict`, read from JSON, which may have changed the order of the groups."""
        ordered = sorted(values["groups"].values(), key=lambda group: sort_key(group["key"]))
        found = {group["key"]: _group_from(group) for group in ordered}
        known = values["targets"]
        targets = {key: _group_from(known[key]) for key in (*ITEM_STRATA, *sorted({*known} - {*ITEM_STRATA})) if key in known}
        return Comparison(values["base"], values["other"], Protocol(**values["protocol"]), tuple(values["seeds"]), found, targets)


def compare(
    *,
    base: Sequence[EvalTable],
    other: Sequence[EvalTable],
    config: EvaluationConfig | None = None,
    metrics: Sequence[str] | None = None,
) -> Comparison:
    """Differences between two scorers, each given as a table per training seed.

    Args:
        base: the scorer to compare with.
        other: the scorer in question.
        config: cutoffs, resamples, seed.
        metrics: names; None = HR, NDCG and MRR at the cutoff nearest to 10, and `config.metrics`.

    Raises:
        UserError: the two cannot be compared; names what differs.
    """
    config = config or EvaluationConfig()
    return compared(pair(base=base, other=other), config, default_metrics(config) if metrics is None else metrics)


def default_metrics(config: EvaluationConfig) -> list[str]:
    """HR, NDCG and MRR at the cutoff nearest to 10, and those that the config adds."""
    k = nearest_cutoff(config.cutoffs)
    more = [key for name in config.metrics for key in METRICS[name].keys([k])]
    return [f"hr@{k}", f"ndcg@{k}", f"mrr@{k}", *more]


def compared(paired: Paired, config: EvaluationConfig, metrics: Sequence[str]) -> Comparison:
    """`compare` for runs that are paired already."""
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
    """Paired difference of one metric over the selected users, at least one. Rows are seeds, columns users in order of their
    keys."""
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
    """One-sided p-value of "the mean is not above 0": the share of resamples at or below 0, never exactly 0.

    Values that are 0 up to rounding count as 0, so two equal runs have p = 1.
    """
    return float((1 + np.count_nonzero(means_R <= 1e-12)) / (1 + len(means_R)))
