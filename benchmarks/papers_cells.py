"""Cells of the page, from summary lines and printed figures: a method's metric in a group beside its base's, and what it says.

A gain is *shown* when the whole 95 % interval (over users and seeds) of the change lies above zero and there are three seeds or
more; *lost* when it lies below; *open* otherwise. A printed figure has no interval, and is what is to be shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from harness.ledger import Line
from methods_summary import newest_summaries
from papers_published import POOLED
from papers_tables import Claim, Side

from ltrec.evaluation.config import EvaluationConfig

SHOWN, LOST, OPEN = "shown", "lost", "open"


@dataclass(frozen=True, slots=True)
class Cell:
    """A metric of a method in a group.

    Attributes:
        value: of the method.
        base: of the base it is held against.
        low, high: ends of the interval of value - base; None for a printed figure, and for the base itself.
        seeds: pairs behind it; 0 for a printed figure.
    """

    value: float
    base: float
    low: float | None = None
    high: float | None = None
    seeds: int = 0

    @property
    def verdict(self) -> str:
        """Shown, lost or open."""
        if self.low is None or self.high is None or self.seeds < EvaluationConfig().min_seeds:
            return OPEN
        return SHOWN if self.low > 0 else LOST if self.high < 0 else OPEN


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a side on a data set: the summaries by method, and all lines."""

    side: Side
    lines: Sequence[Line]

    @property
    def base(self) -> str:
        """The method that the others are held against."""
        return self.side.protocol.methods[0]

    def cell(self, method: str, group: str, metric: str) -> Cell | None:
        """None while there is no summary, or nobody in the group."""
        if metric == POOLED:
            return self._pooled(method, group)
        line = newest_summaries(self.lines).get(method)
        found: Mapping[str, list[float]] | None = (line or {}).get("groups", {}).get(group, {}).get(metric)
        if line is None or found is None:
            return None
        value, (change, low, high), seeds = found["mean"][0], found["change"], len(line["seeds"])
        if method == self.base:
            return Cell(value, value, seeds=seeds)
        return Cell(value, value - change, low, high, seeds)

    def _pooled(self, method: str, group: str) -> Cell | None:
        """Means over the seeds that the method shares with the base."""
        lines = [line for line in self.lines if line["phase"] == "pooled" and group in line["groups"]]
        base, mine = ({line["seed"]: line["groups"][group] for line in lines if line["method"] == m} for m in (self.base, method))
        shared = sorted(base.keys() & mine.keys())
        return Cell(mean(mine[s] for s in shared), mean(base[s] for s in shared), seeds=len(shared)) if shared else None

    def seeds(self, method: str) -> int:
        """How many the method shares with the base."""
        line = newest_summaries(self.lines).get(method)
        return len(line["seeds"]) if line else 0


def printed(claim: Claim, data: str, method: str, group: str, metric: str) -> Cell | None:
    """The paper's own figure, beside its base's."""
    base = claim.theirs.protocol.methods[0]
    of_data = claim.published.get(data, {})
    value, of_base = (of_data.get(name, {}).get(group, {}).get(metric) for name in (method, base))
    return None if value is None or of_base is None else Cell(value, of_base)


def finding(theirs: Cell | None, ours: Cell | None) -> str:
    """A published gain, under the paper's baseline and under ours, in words."""
    if theirs is None or ours is None:
        return "not measured under both baselines yet"
    if min(theirs.seeds, ours.seeds) < EvaluationConfig().min_seeds:
        return "too few seeds to say"
    if theirs.verdict == SHOWN:
        return "holds under both baselines" if ours.verdict == SHOWN else "**holds under the paper's baseline and not under ours**"
    under_ours = "; with ours it is shown" if ours.verdict == SHOWN else ", nor with ours"
    what = "is reversed" if theirs.verdict == LOST else "is not shown"
    return f"{what} with the paper's own baseline{under_ours}"
