"""A method: the runs whose configs differ only in name and seed. The page is about methods, with mean and spread over seeds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ltrec.core.counting import counted
from ltrec.core.errors import UserError
from ltrec.evaluation.comparison.naming import common_name
from ltrec.evaluation.curves import Curve, mean_curve
from ltrec.evaluation.table import EvalTable
from ltrec.reporting.run_results import History, RunResults

_OWN = re.compile(r"^(#|(name|seed|out|resume):).*$", re.MULTILINE)
"""Comments, and top-level keys that may differ between the seeds of a method."""
_START = re.compile(r"^init_from:.*$", re.MULTILINE)
"""Each seed of a second stage starts from a first stage of its own: runs/trunk-1, runs/trunk-2."""


@dataclass(frozen=True, slots=True)
class SeedHistories:
    """The logged metrics of a method: one `History` per seed, at least one."""

    seeds: tuple[History, ...]

    def axis(self) -> str:
        """The x-axis: ``epoch`` if all seeds have logged epochs, else ``step``."""
        return "epoch" if all(history.axis() == "epoch" for history in self.seeds) else "step"

    def keys(self) -> set[str]:
        """All keys that were logged by any seed."""
        return {key for history in self.seeds for line in history.lines for key in line}

    def numbered(self, prefix: str) -> set[int]:
        """The strata z for which a key ``<prefix>z`` was logged."""
        return {int(key.removeprefix(prefix)) for key in self.keys() if re.fullmatch(re.escape(prefix) + "[0-9]+", key)}

    def curve(self, key: str, axis: str) -> Curve:
        """Mean over the seeds that reached each point, with minimum and maximum; a single seed's curve is returned as it is."""
        curves = [history.curve(key, axis) for history in self.seeds]
        return curves[0] if len(curves) == 1 else mean_curve([curve for curve in curves if len(curve.x)])


@dataclass(frozen=True, slots=True)
class Method:
    """Runs of one method, at least one, in the given order."""

    runs: tuple[RunResults, ...]

    @property
    def name(self) -> str:
        """The common part of the names of its runs."""
        return common_name([run.name for run in self.runs])

    @property
    def label(self) -> str:
        """The name, with the number of seeds if there are several."""
        return self.name if len(self.runs) == 1 else f"{self.name} ({counted(len(self.runs), 'seed')})"

    def histories(self) -> SeedHistories | None:
        """The curves of the seeds that have any."""
        found = tuple(run.history for run in self.runs if run.history is not None)
        return SeedHistories(found) if found else None

    def tables(self, split: str) -> list[EvalTable]:
        """One table per seed.

        Raises:
            UserError: a run was not evaluated on the split.
        """
        for run in self.runs:
            if split not in run.tables:
                raise UserError(f"{run.path} has no eval/{split}.parquet to compare; create it with 'ltrec evaluate {run.path}'")
        return [run.tables[split] for run in self.runs]

    def baselines(self, split: str) -> dict[str, EvalTable]:
        """The baselines by name. They do not depend on the seed, so those of the first run that has them are used."""
        return next((found for run in self.runs if (found := run.baselines(split))), {})


def methods(runs: Iterable[RunResults]) -> list[Method]:
    """Runs grouped by method, in the order of first appearance; a run without config.yaml is a method by itself."""
    gathered: dict[str, list[RunResults]] = {}
    for run in runs:
        key = str(run.path.resolve()) if run.config is None else _common(run.config)
        gathered.setdefault(key, []).append(run)
    return [Method(tuple(found)) for found in gathered.values()]


def _common(config: str) -> str:
    """The common part of the configs of a method's seeds: without keys of a single run, and without numbers in `init_from`."""
    return _START.sub(lambda line: re.sub("[0-9]+", "#", line[0]), _OWN.sub("", config))


def labels(found: Sequence[Method]) -> Mapping[int, str]:
    """The name of each method in the report: its label, or if two have the same label the path of its first run."""
    names = [method.label for method in found]
    return {i: name if names.count(name) == 1 else str(found[i].runs[0].path) for i, name in enumerate(names)}
