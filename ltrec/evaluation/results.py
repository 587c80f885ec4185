"""All that a report rests on, computed from the tables of the runs on its page: a page only shows it.

The first method is the one in question, the others are its rivals, the strongest first. Metrics are over each method's seeds.
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
from ltrec.evaluation.groups import strata_of
from ltrec.evaluation.reach import ReachSummary, summarise_reach
from ltrec.evaluation.summary import Summary, summarise
from ltrec.evaluation.table import EvalTable


@dataclass(frozen=True, slots=True)
class MethodRuns:
    """One method on one split.

    Attributes:
        name: what its runs share.
        label: what to call it beside the others.
        runs: folder and table of each seed.
    """

    name: str
    label: str
    runs: Ranked

    @property
    def tables(self) -> list[EvalTable]:
        """One per seed."""
        return [table for _, table in self.runs]


@dataclass(frozen=True, slots=True)
class Against:
    """The method in question against another scorer.

    Attributes:
        name, label: of the other.
        mine: name of the method in question.
        found: the paired differences.
        judged: the gate, or None where it cannot judge or was not asked.
        refusal: why it cannot.
        strata: of the data set, with the head's cut of this page.
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
        """The metric that is compared first."""
        measured = next((g.metrics for g in self.found.groups.values() if g.users), {})
        return next((name for name in measured if name.startswith("ndcg@")), "")

    def of(self, group: str) -> Difference | None:
        """The difference in a group of users; None where it has none."""
        return self.found.groups[group].metrics.get(self.metric) if group in self.found.groups else None

    def strength(self) -> float:
        """How well the other serves all users; strongest first is by this."""
        everyone = self.of("all")
        return everyone.base if everyone else -math.inf

    def over(self) -> str:
        """What the intervals are over."""
        return "users and seeds" if len(self.found.seeds) > 1 else "users"


@dataclass(frozen=True, slots=True)
class Results:
    """The method in question on one split, with the baselines of that split that need no training, and its rivals.

    Attributes:
        mine: the method in question.
        strata: of the data set, with the head's cut of this page.
        summary: the method's metrics.
        floors: metrics of the baselines, by name.
        others: metrics of the other methods by label, the strongest first.
        rivals: the comparisons with them, the strongest first.
        popularity: without rivals, the comparison with the popularity baseline, which is no gate to pass; None without it.
        reach: metrics by distance of the target; None where it is not known.
        rival_reach: the same of the strongest rival.
        seeds: metrics of every run by itself, in the order of methods and runs; empty where each method has one run.
    """

    mine: MethodRuns
    strata: Strata
    summary: Summary
    floors: Mapping[str, Summary]
    others: Mapping[str, Summary]
    rivals: tuple[Against, ...]
    popularity: Against | None
    reach: ReachSummary | None
    rival_reach: ReachSummary | None
    seeds: tuple[Summary, ...]

    @property
    def table(self) -> EvalTable:
        """Of the first run, for what all seeds share."""
        return self.mine.tables[0]

    def beside(self) -> dict[str, Summary]:
        """What the figure by stratum shows beside the method: the strongest rival, and the baselines."""
        return {**dict(list(self.others.items())[:1]), **self.floors}


def results_of(methods: Sequence[MethodRuns], floors: Mapping[str, EvalTable], config: EvaluationConfig) -> Results:
    """Compute, or read what was computed before, all that a page about these runs shows.

    Args:
        methods: the one in question first.
        floors: tables of the baselines that need no training, by name.
        config: how to judge.

    Raises:
        UserError: when runs must not be compared, naming what differs.
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
        floors={name: summarise(table, config) for name, table in floors.items()},
        others={rival.label: summarise(by_label[rival.label].tables, config) for rival in rivals},
        rivals=tuple(rivals),
        popularity=None if rivals or "popularity" not in floors else _above(mine, floors["popularity"], config),
        reach=reach,
        rival_reach=None if reach is None or strongest is None else summarise_reach(strongest.tables, config),
        seeds=() if alone else tuple(summarise(table, config) for method in methods for table in method.tables),
    )


def _against(mine: MethodRuns, other: MethodRuns, config: EvaluationConfig) -> Against:
    found = judge_runs(mine.runs, other.runs, config)[1]
    return Against(
        other.name,
        other.label,
        mine.name,
        found.comparison,
        found.gate,
        found.refusal,
        strata_of(other.tables[0], config.head_from),
    )


def _above(mine: MethodRuns, popularity: EvalTable, config: EvaluationConfig) -> Against:
    found = compare(base=[popularity], other=mine.tables, config=config)
    return Against("popularity", "popularity", mine.name, found, None, "", strata_of(popularity, config.head_from))
