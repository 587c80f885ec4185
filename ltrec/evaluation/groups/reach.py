"""A metric by reach: within every group, users are divided by the number of links between their target and their history.

A method can only use existing links. The share of targets at each distance shows what is possible, and the metric at each distance
how well the method uses it; a mean over all users mixes the two. Distances are those of the evaluation table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ltrec.data.reach import BEYOND, KNOWN, ONE_LINK, REPEAT, TWO_LINKS
from ltrec.evaluation.comparison.pairing import seeds_of_one
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.estimates import Estimate, measure
from ltrec.evaluation.groups.users import APART, groups
from ltrec.evaluation.metrics import nearest_cutoff
from ltrec.evaluation.table import REACH, EvalTable


@dataclass(frozen=True, slots=True)
class ReachGroup:
    """One group of users.

    Attributes:
        key, label: as in `groups.users`.
        users: number of users at each distance 0 to 3.
        metric: their mean metric; NaN without users.
    """

    key: str
    label: str
    users: tuple[int, ...]
    metric: tuple[Estimate, ...]

    @property
    def known(self) -> int:
        """Number of users with a known distance."""
        return sum(self.users)

    def share(self, distance: int) -> float:
        """Share of the users at a distance; NaN without users."""
        return self.users[distance] / self.known if self.known else float("nan")


@dataclass(frozen=True, slots=True)
class ReachSummary:
    """The metric of a scorer at each distance.

    Attributes:
        metric: the headline metric.
        groups: by key; all, tail, head, the strata.
        known_share: share of the users with a history whose distance is known.
        seeds: number of seeds that means are over.
    """

    metric: str
    groups: dict[str, ReachGroup]
    known_share: float
    seeds: int

    def strata(self) -> list[ReachGroup]:
        """The activity strata, least active first."""
        return [group for key, group in self.groups.items() if key.startswith("stratum=")]


def summarise_reach(tables: Sequence[EvalTable], config: EvaluationConfig) -> ReachSummary | None:
    """Shares and means by distance, over one method's seeds; None if no distance is known.

    Raises:
        UserError: the tables are not seeds of one method, ranked with one protocol.
    """
    runs = seeds_of_one(tables)
    distance_N, parts = runs[0].column(REACH), groups(runs[0], config.head_from)
    warm_N = parts[0].mask_N
    if not (known := int((warm_N & (distance_N >= 0)).sum())):
        return None
    metric = f"ndcg@{nearest_cutoff(config.cutoffs)}"
    measured, found = measure(runs, config), {}
    for group in (part for part in parts if part.key not in APART):
        masks = [group.mask_N & (distance_N == distance) for distance in KNOWN]
        metrics = tuple(measured.estimates(mask_N, [metric])[metric] for mask_N in masks)
        found[group.key] = ReachGroup(group.key, group.label, tuple(int(mask_N.sum()) for mask_N in masks), metrics)
    return ReachSummary(metric, found, known / int(warm_N.sum()), len(runs))


def reach_line(table: EvalTable, config: EvaluationConfig) -> str | None:
    """Shares of the tail's (and the head's) targets by distance, in one line; None if no distance in the tail is known."""
    distance_N, shares = table.column(REACH), {}
    for group in groups(table, config.head_from)[1:3]:
        found = distance_N[group.mask_N & (distance_N >= 0)]
        shares[group.key] = [float((found == distance).mean()) for distance in KNOWN] if found.size else None
    tail, head = shares["tail"], shares["head"]
    if tail is None:
        return None
    words = {ONE_LINK: "one link from the history", TWO_LINKS: "two", BEYOND: "beyond", REPEAT: "in it"}
    listed = [
        f"{tail[d]:.0%}{'' if head is None else f' ({head[d]:.0%})'} {word}" for d, word in words.items() if d != REPEAT or tail[d]
    ]
    return f"targets of the tail{'' if head is None else ' (head)'}: {', '.join(listed)}"
