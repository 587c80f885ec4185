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
import numpy.typing as npt

from benchmarks.longtail import tables
from benchmarks.longtail.ranking import CUTOFFS, METRICS
from benchmarks.longtail.ranks import Users, read_users
from benchmarks.longtail.results import TRAINED, Results
from ltrec.evaluation.comparison.compare import Difference, difference
from ltrec.evaluation.comparison.gate import gate
from ltrec.evaluation.comparison.pairing import Paired, pair, seeds_of_one
from ltrec.evaluation.comparison.verdict import DatasetVerdict
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.groups.users import Group, groups
from ltrec.evaluation.metrics import per_user
from ltrec.evaluation.table import NUM_CANDIDATES, RANK, TARGET_COUNT, EvalTable
from ltrec.evaluation.training_facts import KEY

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

    def changes(self, paired: Paired, wanted: Sequence[str], metric: str = HEADLINE) -> dict[str, Difference]:
        """Group -> change of a metric, of those groups that are wanted and have users."""
        _refuse(metric)
        found = [group for group in groups(paired.base[0]) if group.key in wanted and group.users > 1]
        return {group.key: difference(*paired.values(metric), group.mask_N, self.config) for group in found}

    def means(self, runs: Sequence[EvalTable], metric: str = HEADLINE, parts: Sequence[Group] = ()) -> dict[str, float]:
        """Group -> mean over users and seeds.

        Args:
            runs: tables of one scorer, a seed each, users in one order.
            metric: one of `METRICS`.
            parts: groups; those of a report unless given.
        """
        value_SN = per_seed(runs, metric)
        found = parts or groups(runs[0])
        return {group.key: float(value_SN[:, group.mask_N].mean()) for group in found if group.users}

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


def per_seed(runs: Sequence[EvalTable], metric: str = HEADLINE) -> npt.NDArray[np.float64]:
    """A metric by seed and user [S, N]."""
    _refuse(metric)
    return np.stack([per_user(run.column(RANK), run.column(NUM_CANDIDATES), CUTOFFS)[metric] for run in runs])


def spread(runs: Sequence[EvalTable]) -> float:
    """Standard deviation of the seeds' means over all users; NaN with one."""
    return float(per_seed(runs).mean(axis=1).std(ddof=1)) if len(runs) > 1 else float("nan")


def worst(means: dict[str, float]) -> tuple[str, float]:
    """The stratum that is served worst, and how well."""
    strata = {key: mean for key, mean in means.items() if key.startswith("stratum=")}
    key = min(strata, key=strata.__getitem__)
    return key, strata[key]


def gap(means: dict[str, float]) -> float:
    """Best minus worst stratum."""
    return float(np.ptp([mean for key, mean in means.items() if key.startswith("stratum=")]))


def _refuse(metric: str) -> None:
    """Ranks are kept to a depth, so a metric that looks further would be wrong."""
    assert metric in METRICS, f"{metric} cannot be had from ranks that are cut at a depth"
