"""The summary of a scorer: every metric for every group of users with its interval, and the user x item grid.

Groups are those of `groups.users`, and by target those of `groups.targets`; an interval is a 95 % bootstrap interval over the
group's users. The grid crosses activity strata with the popularity of the target item, since a tail user may want a popular item.

Means and intervals are those of `estimates`; with several training seeds each mean also has a spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ltrec.core import columns as c
from ltrec.evaluation.comparison.naming import common_name
from ltrec.evaluation.comparison.pairing import seeds_of_one
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.estimates import Estimate, Measured, measure, seed_spread
from ltrec.evaluation.groups.targets import class_strata, target_groups
from ltrec.evaluation.groups.users import Group, groups
from ltrec.evaluation.lists import list_metrics
from ltrec.evaluation.metrics import nearest_cutoff
from ltrec.evaluation.table import NUM_CANDIDATES, REPEAT, TARGET_COUNT, EvalTable, Protocol


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """One group of users.

    Attributes:
        key: ``all``, ``tail``, ``head``, ``stratum=0``, ..., ``new``, ``cold``, ``outside``; by target ``item=new``, ``item=tail``,
            ``item=head``.
        label: the name in tables.
        users: number of users.
        metrics: by name (``ndcg@10``, ...).
        lists: ``coverage@10``, ``gini@10``, ``popularity@10``, ``tail_share@10``, ...; not means over users, so without intervals.
        list_spreads: their standard deviations over training seeds; NaN with a single one.
    """

    key: str
    label: str
    users: int
    metrics: dict[str, Estimate]
    lists: dict[str, float]
    list_spreads: dict[str, float]


@dataclass(frozen=True, slots=True)
class Grid:
    """Activity stratum x popularity class of the target.

    Attributes:
        metric: the metric of the cells.
        rows: strata by training events of the user, least active first [K].
        columns: classes by training events of the item, rarest first [P].
        strata: of the items in each of them: new, tail or head [P].
        users_KP: users per cell.
        mean_KP, low_KP, high_KP: the metric and its 95 % interval; NaN without users.
    """

    metric: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    strata: tuple[str, ...]
    users_KP: npt.NDArray[np.int64]
    mean_KP: npt.NDArray[np.float64]
    low_KP: npt.NDArray[np.float64]
    high_KP: npt.NDArray[np.float64]

    def column(self, p: int) -> tuple[int, float]:
        """Number of users of a column over all strata, and their mean; NaN without users."""
        users_K = self.users_KP[:, p]
        known = users_K > 0
        users = int(users_K.sum())
        return users, float(self.mean_KP[known, p] @ users_K[known]) / users if users else math.nan


@dataclass(frozen=True, slots=True)
class Summary:
    """The metrics of a scorer on one split.

    Attributes:
        name: the scorer, or the method whose seeds these are.
        protocol: what makes the numbers comparable.
        groups: by key, in the order of a report.
        targets: users by their target, by key.
        grid: of the headline metric.
        headline: the main metric, ``ndcg@10`` unless 10 is not a cutoff.
        repeat_share: share of users with a history whose target is in it; NaN without users.
        rivals: mean number of other candidates.
        seeds: the training seeds; None for a scorer without a seed.
    """

    name: str
    protocol: Protocol
    groups: dict[str, GroupSummary]
    targets: dict[str, GroupSummary]
    grid: Grid
    headline: str
    repeat_share: float
    rivals: float
    seeds: tuple[int | None, ...]

    def strata(self) -> list[GroupSummary]:
        """The activity strata, least active first."""
        return [g for key, g in self.groups.items() if key.startswith("stratum=")]

    def worst(self, metric: str) -> GroupSummary | None:
        """The stratum with the lowest metric; None if all strata are empty."""
        return min((g for g in self.strata() if g.users), key=lambda g: g.metrics[metric].mean, default=None)

    def gap(self, metric: str) -> float:
        """Best minus worst stratum; NaN if all strata are empty."""
        means = [g.metrics[metric].mean for g in self.strata() if g.users]
        return max(means) - min(means) if means else math.nan

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; NaN becomes null."""
        body = asdict(self)
        body["grid"] |= {k: v.tolist() for k, v in body["grid"].items() if isinstance(v, np.ndarray)}
        clean: dict[str, Any] = _without_nan(body)
        return clean


def summarise(tables: EvalTable | Sequence[EvalTable], config: EvaluationConfig | None = None) -> Summary:
    """Metrics, intervals and grid of a table, or of the tables of several seeds. A pure function.

    Raises:
        UserError: the tables are not seeds of one method, ranked with one protocol.
    """
    config = config or EvaluationConfig()
    runs = seeds_of_one([tables] if isinstance(tables, EvalTable) else tables)
    first, measured = runs[0], measure(runs, config)
    parts = groups(first, config.head_from)
    headline = f"ndcg@{nearest_cutoff(config.cutoffs)}"
    warm = parts[0].mask_N
    return Summary(
        name=common_name([table.name for table in runs]),
        protocol=first.protocol,
        groups={g.key: _summarise_group(runs, g, measured) for g in parts},
        targets={g.key: _summarise_group(runs, g, measured) for g in target_groups(first, config.item_shares)},
        grid=_grid(first, headline, measured),
        headline=headline,
        repeat_share=float(first.column(REPEAT)[warm].mean()) if warm.any() else math.nan,
        rivals=float(first.column(NUM_CANDIDATES)[warm].mean() - 1) if warm.any() else math.nan,
        seeds=tuple(table.source.get("seed") for table in runs),
    )


def _summarise_group(runs: Sequence[EvalTable], group: Group, measured: Measured) -> GroupSummary:
    config = measured.config
    lists = [
        list_metrics(*t.top_items(), group.mask_N, cutoffs=config.cutoffs, catalogue=t.catalogue, shares=config.item_shares)
        for t in runs
    ]
    found = {name: np.array([metrics[name] for metrics in lists]) for name in lists[0]}
    means, spreads = {k: float(v_S.mean()) for k, v_S in found.items()}, {k: seed_spread(v_S) for k, v_S in found.items()}
    return GroupSummary(group.key, group.label, group.users, measured.estimates(group.mask_N), means, spreads)


def _grid(table: EvalTable, metric: str, measured: Measured) -> Grid:
    config, rows = measured.config, table.strata.names()
    columns = table.catalogue.class_names(config.item_shares)
    strata = class_strata(table.catalogue, config.item_shares)
    class_N = table.catalogue.class_of(table.column(TARGET_COUNT), config.item_shares)
    stratum_N, warm_N = table.column(c.STRATUM), groups(table, config.head_from)[0].mask_N
    shape = (len(rows), len(columns))
    users_KP, estimate_KP3 = np.zeros(shape, dtype=np.int64), np.full((*shape, 3), np.nan)
    for k, p in np.ndindex(shape):
        mask_N = warm_N & (stratum_N == k) & (class_N == p)
        users_KP[k, p] = int(mask_N.sum())
        estimate = measured.estimates(mask_N, [metric])[metric]
        estimate_KP3[k, p] = estimate.mean, estimate.low, estimate.high
    return Grid(metric, rows, columns, strata, users_KP, estimate_KP3[..., 0], estimate_KP3[..., 1], estimate_KP3[..., 2])


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value
