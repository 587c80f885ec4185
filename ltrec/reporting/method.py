"""A method: the runs whose configs differ in nothing but name and seed. The page speaks of methods; seeds give mean and spread."""

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
"""Comments, and top-level keys, that may differ between seeds of one method."""
_START = re.compile(r"^init_from:.*$", re.MULTILINE)
"""Each seed of a second stage starts from its own first one: runs/trunk-1, runs/trunk-2."""


@dataclass(frozen=True, slots=True)
class SeedHistories:
    """What the seeds of a method logged, one `History` each, at least one."""

    seeds: tuple[History, ...]

    def axis(self) -> str:
        """``epoch`` where every seed has epochs to draw against, else ``step``."""
        return "epoch" if all(history.axis() == "epoch" for history in self.seeds) else "step"

    def keys(self) -> set[str]:
        """Everything that was logged by some seed."""
        return {key for history in self.seeds for line in history.lines for key in line}

    def numbered(self, prefix: str) -> set[int]:
        """The strata z of which a key ``<prefix>z`` was logged."""
        return {int(key.removeprefix(prefix)) for key in self.keys() if re.fullmatch(re.escape(prefix) + "[0-9]+", key)}

    def curve(self, key: str, axis: str) -> Curve:
        """Mean over the seeds that reached each place, with the lowest and highest of them; a single seed's curve as it is."""
        curves = [history.curve(key, axis) for history in self.seeds]
        return curves[0] if len(curves) == 1 else mean_curve([curve for curve in curves if len(curve.x)])


@dataclass(frozen=True, slots=True)
class Method:
    """Runs of one method, at least one, in the order given."""

    runs: tuple[RunResults, ...]

    @property
    def name(self) -> str:
        """What the names of the runs share."""
        return common_name([run.name for run in self.runs])

    @property
    def label(self) -> str:
        """The name, with the number of seeds where there are several."""
        return self.name if len(self.runs) == 1 else f"{self.name} ({counted(len(self.runs), 'seed')})"

    def histories(self) -> SeedHistories | None:
        """Curves of the seeds that left any."""
        found = tuple(run.history for run in self.runs if run.history is not None)
        return SeedHistories(found) if found else None

    def tables(self, split: str) -> list[EvalTable]:
        """One table per seed.

        Raises:
            UserError: when a run was not evaluated on the split.
        """
        for run in self.runs:
            if split not in run.tables:
                raise UserError(f"{run.path} has no eval/{split}.parquet to compare; make it with 'ltrec evaluate {run.path}'")
        return [run.tables[split] for run in self.runs]

    def baselines(self, split: str) -> dict[str, EvalTable]:
        """The baselines by name: they draw nothing, so the first run that has them speaks for all."""
        return next((found for run in self.runs if (found := run.baselines(split))), {})


def methods(runs: Iterable[RunResults]) -> list[Method]:
    """Runs gathered by method, in the order of first appearance; a run without config.yaml stands alone."""
    gathered: dict[str, list[RunResults]] = {}
    for run in runs:
        key = str(run.path.resolve()) if run.config is None else _common(run.config)
        gathered.setdefault(key, []).append(run)
    return [Method(tuple(found)) for found in gathered.values()]


def _common(config: str) -> str:
    """What the configs of one method's seeds share: all but what is a run's own, numbers in the place it starts from among it."""
    return _START.sub(lambda line: re.sub("[0-9]+", "#", line[0]), _OWN.sub("", config))


def labels(found: Sequence[Method]) -> Mapping[int, str]:
    """What to call each method beside the others: its label, or where two share it the path of its first run."""
    names = [method.label for method in found]
    return {i: name if names.count(name) == 1 else str(found[i].runs[0].path) for i, name in enumerate(names)}
