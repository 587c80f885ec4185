"""Everything that a report shows, computed from the tables of its runs.

The first method is the one in question, the others are its rivals, strongest first. Metrics are means over each method's seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ltrec.core.strata import Strata
from ltrec.evaluation.comparison.compare import Comparison, Difference, compare
from ltrec.evaluation.comparison.judgement import Ranked, judge_runs
from ltrec.evaluation.comparison.verdict import DatasetVerdict, Gate
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.groups.reach import ReachSummary, summarise_reach
from ltrec.evaluation.groups.users import strata_of
from ltrec.evaluation.summary import Summary, summarise
from ltrec.evaluation.table import EvalTable


@dataclass(frozen=True, slots=True)
class MethodRuns:
    """One method on one split.

    Attributes:
        name: common to its runs.
        label: the name in the report.
        runs: folder and table of each seed.
    """

    name: str
    label: str
    runs: Ranked

    @property
    def tables(self) -> list[EvalTable]:
        """The tables, one per seed."""
        return [table for _, table in self.runs]


@dataclass(frozen=True, slots=True)
class RivalComparison:
    """The method in question compared with another scorer.

    Attributes:
        name, label: of the other scorer.
        mine: name of the method in question.
        found: the paired differences.
        judged: the gate; None if it cannot judge, or was not requested.
        refusal: why it cannot judge.
        strata: of the data set, with the head cut of the report.
    """

    name: str
    label: str
    mine: str
    found: Comparison
    judged: Gate | None
    refusal: str
    strata: Strata

    @property
    def verdict(self) -> DatasetVerdict | None:
        """The gate's verdict on this data set."""
        return self.judged.datasets[0] if self.judged else None

    @property
    def metric(self) -> str:
        """The headline metric."""
        measured = next((g.metrics for g in self.found.groups.values() if g.users), {})
        return next((name for name in measured if name.startswith("ndcg@")), "")

    def of(self, group: str) -> Difference | None:
        """The difference in a group of users; None without users."""
        return self.found.groups[group].metrics.get(self.metric) if group in self.found.groups else None

    def strength(self) -> float:
        """The other scorer's metric over all users, by which rivals are sorted."""
        everyone = self.of("all")
        return everyone.base if everyone else -math.inf

    def over(self) -> str:
        """What the intervals account for."""
        return "users and seeds" if len(self.found.seeds) > 1 else "users"


@dataclass(frozen=True, slots=True)
class Results:
    """The method in question on one split, with the baselines of that split and its rivals.

    Attributes:
        mine: the method in question.
        strata: of the data set, with the head cut of the report.
        summary: the method's metrics.
        baselines: metrics of the baselines, by name.
        others: metrics of the other methods by label, the strongest first.
        rivals: the comparisons with them, the strongest first.
        popularity: without rivals, the comparison with the popularity baseline, which is not a gate; None without that baseline.
        reach: metrics by distance of the target; None if unknown.
        rival_reach: the same for the strongest rival.
        seeds: metrics of each run, in the order of methods and runs; empty if every method has one run.
    """

    mine: MethodRuns
    strata: Strata
    summary: Summary
    baselines: Mapping[str, Summary]
    others: Mapping[str, Summary]
    rivals: tuple[RivalComparison, ...]
    popularity: RivalComparison | None
    reach: ReachSummary | None
    rival_reach: ReachSummary | None
    seeds: tuple[Summary, ...]

    @property
    def table(self) -> EvalTable:
        """The table of the first run, for what all seeds share."""
        return self.mine.tables[0]

    def beside(self) -> dict[str, Summary]:
        """What the figure by stratum shows besides the method: the strongest rival and the baselines."""
        return {**dict(list(self.others.items())[:1]), **self.baselines}


def results_of(methods: Sequence[MethodRuns], baselines: Mapping[str, EvalTable], config: EvaluationConfig) -> Results:
    """Compute, or read if it was computed before, everything that a report on these runs shows.

    Args:
        methods: the one in question first.
        baselines: tables of the baselines, by name.
        config: options of evaluation.

    Raises:
        UserError: runs cannot be compared; names what differs.
    """
    mine, *rest = methods
    rivals = sorted((_against(mine, other, config) for other in rest), key=lambda rival: -rival.strength())
    by_label = {method.label: method for method in rest}
    reach, strongest = summarise_reach(mine.tables, config), by_label[rivals[0].label] if rivals else None
    alone = all(len(method.runs) == 1 for method in methods)
    return Results(
        mine=mine,
        strata=strata_of(mine.tables[0], config.head_from),
        summary=summarise(mine.tables, config),
        baselines={name: summarise(table, config) for name, table in baselines.items()},
        others={rival.label: summarise(by_label[rival.label].tables, config) for rival in rivals},
        rivals=tuple(rivals),
        popularity=None if rivals or "popularity" not in baselines else _above(mine, baselines["popularity"], config),
        reach=reach,
        rival_reach=None if reach is None or strongest is None else summarise_reach(strongest.tables, config),
        seeds=() if alone else tuple(summarise(table, config) for method in methods for table in method.tables),
    )


def _against(mine: MethodRuns, other: MethodRuns, config: EvaluationConfig) -> RivalComparison:
    found = judge_runs(mine.runs, other.runs, config)[1]
    return RivalComparison(
        other.name,
        other.label,
        mine.name,
        found.comparison,
        found.gate,
        found.refusal,
        strata_of(other.tables[0], config.head_from),
    )


def _above(mine: MethodRuns, popularity: EvalTable, config: EvaluationConfig) -> RivalComparison:
    found = compare(base=[popularity], other=mine.tables, config=config)
    return RivalComparison("popularity", "popularity", mine.name, found, None, "", strata_of(popularity, config.head_from))
