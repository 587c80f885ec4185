"""Committed ranks -> figures: means by group, paired changes with intervals over users and seeds, Holm over logs, ltrec's gate.

Nothing but the files of a results folder is read, and all statistics are `ltrec.evaluation`'s own. P-values of the tail are
adjusted over the logs of one backbone and one comparison (Holm); over comparisons they are not, which a reader should know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.longtail import tables
from benchmarks.longtail.ranking import METRICS
from benchmarks.longtail.ranks import Users, read_users
from benchmarks.longtail.results import TRAINED, Results
from ltrec.evaluation.bootstrap import interval
from ltrec.evaluation.compare import Difference, difference
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.gate import DatasetVerdict, gate
from ltrec.evaluation.groups import Group, groups
from ltrec.evaluation.pairing import Paired, pair, seeds_of_one
from ltrec.evaluation.seeds import resampled
from ltrec.evaluation.summary import Estimate
from ltrec.evaluation.table import TARGET_COUNT, EvalTable
from ltrec.evaluation.trained import KEY

HEADLINE = "ndcg@10"


@dataclass(frozen=True, slots=True)
class Scorer:
    """A variant of a method, or what a log was ranked with once (`tables.UNTRAINED`)."""

    method: str
    variant: str

    @property
    def name(self) -> str:
        """For people."""
        return self.variant if self.method == tables.UNTRAINED else f"{self.method} {self.variant}"


@dataclass(frozen=True)
class Judge:
    """The results of a folder.

    Attributes:
        folder: of results.
        config: resamples, margin, least number of seeds.
    """

    folder: Path
    config: EvaluationConfig

    @cached_property
    def results(self) -> Results:
        """The lines."""
        return Results(self.folder)

    @cached_property
    def logs(self) -> dict[str, Users]:
        """Logs whose users are known, in the order of the tables."""
        return {log: read_users(path) for log in tables.LOGS if (path := self.results.users(log)).exists()}

    def seeds(self, log: str, model: str, scorer: Scorer) -> tuple[EvalTable, ...]:
        """A scorer's tables, one per seed, none when it was not ranked there."""
        data = log if scorer.method == tables.UNTRAINED else f"{log}-{model}"
        path = self.results.ranks(data, scorer.method, scorer.variant)
        if not path.exists():
            return ()
        lines = self.results.ledger.lines(data)
        facts = {f"{line['key']}:{scorer.variant}": {KEY: line["trained"]} for line in lines if line["phase"] == TRAINED}
        found = [*self.logs[log].tables(path, scorer.name, facts).values()]
        return seeds_of_one(found) if found else ()

    def paired(self, log: str, model: str, base: Scorer, other: Scorer) -> Paired | None:
        """Two scorers on the seeds that both have; None where there are none."""
        mine, theirs = self.seeds(log, model, other), self.seeds(log, model, base)
        if not mine or not theirs:
            return None
        of_mine, of_theirs = ({table.source.get("seed") for table in side} for side in (mine, theirs))
        shared = of_mine & of_theirs if of_mine != {None} and of_theirs != {None} else of_mine | of_theirs
        kept = [[table for table in side if table.source.get("seed") in shared] for side in (theirs, mine)]
        return pair(base=kept[0], other=kept[1]) if all(kept) else None

    def gates(self, model: str, base: Scorer, other: Scorer) -> dict[str, DatasetVerdict]:
        """Log -> verdict, over all logs where both are there."""
        pairs = {log: found for log in self.logs if (found := self.paired(log, model, base, other))}
        return {verdict.dataset: verdict for verdict in gate(pairs, self.config, HEADLINE).datasets} if pairs else {}

    def changes(self, paired: Paired, metric: str = HEADLINE) -> dict[str, Difference]:
        """Group -> change of a metric."""
        _refuse(metric)
        return {
            group.key: difference(*paired.values(metric), group, self.config, metric)
            for group in groups(paired.base[0])
            if group.users > 1
        }

    def means(self, runs: Sequence[EvalTable], metric: str = HEADLINE) -> dict[str, Estimate]:
        """Group -> mean over users and seeds, with its interval."""
        _refuse(metric)
        paired = Paired(tuple(runs), tuple(runs), tuple(table.source.get("seed") for table in runs))
        value_SN, found = paired.values(metric)[0], {}
        for group in groups(runs[0]):
            if group.users > 1:
                low, high = interval(resampled(value_SN[:, group.mask_N], self.config, "mean", group.key, metric)[:, None])
                spread = float(value_SN[:, group.mask_N].mean(axis=1).std(ddof=1)) if len(runs) > 1 else float("nan")
                found[group.key] = Estimate(float(value_SN[:, group.mask_N].mean()), float(low[0]), float(high[0]), spread)
        return found

    def cells(self, table: EvalTable) -> list[Group]:
        """The cells of the user x item grid that have users: activity stratum by popularity of the target, least of both first."""
        shares = self.config.item_shares
        class_N = table.catalogue.class_of(table.column(TARGET_COUNT), shares)
        strata = [group for group in groups(table) if group.key.startswith("stratum=")]
        found = [
            Group(f"{stratum.key},items={name}", f"{stratum.label}, items with {name}", stratum.mask_N & (class_N == number))
            for stratum in strata
            for number, name in enumerate(table.catalogue.class_names(shares))
        ]
        return [group for group in found if group.users]


def worst(means: dict[str, Estimate]) -> tuple[str, float]:
    """The stratum that is served worst, and how well."""
    strata = {key: found.mean for key, found in means.items() if key.startswith("stratum=")}
    key = min(strata, key=strata.__getitem__)
    return key, strata[key]


def gap(means: dict[str, Estimate]) -> float:
    """Best minus worst stratum."""
    values = [found.mean for key, found in means.items() if key.startswith("stratum=")]
    return float(np.ptp(values))


def _refuse(metric: str) -> None:
    """Ranks are kept to a depth, so a metric that looks further would be wrong."""
    assert metric in METRICS, f"{metric} cannot be had from ranks that are cut at a depth"
