"""What `ltrec.evaluate` returns: runs with their tables of ranks and their metrics, and the verdict of the gate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from ltrec.config.tree import RunConfig
from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.comparison.compare import Comparison
from ltrec.evaluation.comparison.verdict import Gate
from ltrec.evaluation.memory.text import KEY as MEMORY
from ltrec.evaluation.summary import GroupSummary, Summary
from ltrec.evaluation.table import EvalTable


@dataclass(frozen=True, slots=True)
class EvaluatedRun:
    """One run on one split.

    Attributes:
        path: the run folder.
        config: its settings, those of evaluation as they were used.
        tables: ranks of every user's target by scorer, the model first, then the baselines.
        summaries: metrics by group of users with their intervals, by scorer; empty for a run that is only compared with.
    """

    path: Path
    config: RunConfig = field(repr=False)
    tables: Mapping[str, EvalTable] = field(repr=False)
    summaries: Mapping[str, Summary] = field(repr=False)

    @property
    def table(self) -> EvalTable:
        """The model's table."""
        return next(iter(self.tables.values()))

    @property
    def summary(self) -> Summary:
        """The model's metrics."""
        return next(iter(self.summaries.values()))

    def ranks(self) -> pa.Table:
        """A row per user: user_id, stratum, activity, target, rank, ... (`ltrec.evaluation.table.TABLE_SCHEMA`)."""
        return self.table.rows

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the keys are in `ltrec.api`."""
        (model, own), *others = self.summaries.items()
        return {
            "run": str(self.path),
            "model": model,
            "memory": self.table.source.get(MEMORY),
            "groups": groups_of(own.groups),
            "targets": groups_of(own.targets),
            "baselines": {name: groups_of({**summary.groups, **summary.targets}) for name, summary in others},
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Runs that were ranked, and their comparison. Of several processes only the first has any runs to show.

    Attributes:
        split: that was ranked.
        runs: those in question: several are training seeds of one method.
        rivals: those that they are held against.
        comparison: the differences by group of users, with intervals; None without rivals.
        gate: did the tail gain, and did the head pay? None without rivals, or where it refuses to judge.
        refusal: why it does.
        judgement: the JSON file with the comparison in every metric and the verdict; None without rivals.
    """

    split: str
    runs: tuple[EvaluatedRun, ...]
    rivals: tuple[EvaluatedRun, ...] = ()
    comparison: Comparison | None = field(default=None, repr=False)
    gate: Gate | None = None
    refusal: str | None = None
    judgement: Path | None = None

    @property
    def results(self) -> Path:
        """The JSON file with all metrics of the first run."""
        return RunFolder(self.runs[0].path).eval_summary(self.split)

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the keys are in `ltrec.api`."""
        return {
            "split": self.split,
            "runs": [run.to_dict() for run in self.runs],
            "results": str(self.results),
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
            "gate": None if self.gate is None else self.gate.to_dict(),
        }


def groups_of(groups: Mapping[str, GroupSummary]) -> dict[str, Any]:
    """Metrics of each group of users with their intervals, as JSON."""
    return {
        key: {"users": group.users, **{name: _numbers(asdict(value)) for name, value in group.metrics.items()}}
        for key, group in groups.items()
    }


def number(value: float) -> float | None:
    """None for non-finite values, which JSON cannot represent."""
    return float(value) if math.isfinite(value) else None


def _numbers(values: dict[str, float]) -> dict[str, float | None]:
    return {key: number(value) for key, value in values.items()}
