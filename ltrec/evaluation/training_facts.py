"""How the ranked checkpoint was trained: its step, whether training had converged, and the training budget.

A run that was stopped while it was still improving, or had half as many epochs, may lose a comparison for that reason only. So
every table of a model holds these facts, and they are shown with its results and comparisons.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ltrec.evaluation.table import EvalTable

KEY = "training"
"""Key of these facts in the source of a table."""


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """How the run of a table was trained.

    Attributes:
        step: optimiser steps of the ranked checkpoint.
        epochs: its passes over the data.
        monitor: the metric that selects the best checkpoint.
        value: this metric at that step; None if it was not measured there.
        steps_trained: optimiser steps of the run so far; None if its last checkpoint cannot be read.
        epochs_trained: the same in passes over the data.
        last_validated: step of the run's last validation; None if there was none, or it was in another stage.
        ended: ``patience``, ``length``, or empty if training may continue.
        budget: limits of training, by key of the config, and ``steps``, the optimiser steps of the whole plan.
    """

    step: int
    epochs: float
    monitor: str
    value: float | None
    steps_trained: int | None
    epochs_trained: float | None
    last_validated: int | None
    ended: str
    budget: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def facts_of(table: EvalTable) -> TrainingFacts | None:
    """The facts in a table; None for a baseline, which is not trained."""
    facts = table.source.get(KEY)
    return None if facts is None else TrainingFacts(**facts)


def ranked_line(table: EvalTable) -> str | None:
    """Which checkpoint was ranked, in one line; None for a baseline."""
    trained = facts_of(table)
    if trained is None:
        return None
    asked, name = table.source.get("asked"), table.source.get("checkpoint")
    instead = f" (the run has no {asked}.ckpt)" if asked != name else ""
    kind = {None: "", "average": ", its weights averaged", "raw": ", its raw weights"}[table.source.get("weights")]
    seen = trained.value is not None and "raw" not in kind  # where weights are averaged, the average is validated
    value = f"{trained.monitor} {trained.value:.4f} in validation" if seen else "not validated there"
    return f"{name}.ckpt{instead}{kind}, epoch {trained.epochs:g}, step {trained.step:,}, {value}{_trained_until(trained)}"


def convergence_lines(tables: Iterable[EvalTable]) -> tuple[str, ...]:
    """Reasons why models may not have converged, a line each, with the names of the models."""
    found: dict[str, list[str]] = {}
    for table in tables:
        if (trained := facts_of(table)) is not None and (fact := _unfinished(trained)):
            found.setdefault(fact, []).append(table.name)
    return tuple(f"{_listed(names)}: {fact}" for fact, names in found.items())


def budget_line(base: Sequence[EvalTable], other: Sequence[EvalTable]) -> str | None:
    """A line about settings of the training budget in which two methods differ; None if there are none, or one is a baseline."""
    mine, theirs = ([t.budget for table in side if (t := facts_of(table))] for side in (other, base))
    if not mine or not theirs:
        return None
    keys = sorted(mine[0], key=lambda key: (not key.startswith("trainer."), key))
    differing = [key for key in keys if len({repr(budget.get(key)) for budget in (*mine, *theirs)}) > 1]
    if not differing:
        return None
    shown = ", ".join(f"{key} {_values(mine, key)} against {_values(theirs, key)}" for key in differing)
    return f"unequal budgets of training, {other[0].name} against {base[0].name}: {shown}"


def training_lines(base: Sequence[EvalTable], other: Sequence[EvalTable]) -> tuple[str, ...]:
    """Everything that a comparison must report about the training of its methods."""
    unequal = budget_line(base, other)
    return (*convergence_lines([*other, *base]), *([] if unequal is None else [unequal]))


def _unfinished(trained: TrainingFacts) -> str:
    """Why training may not have converged; empty if there is no reason."""
    if trained.steps_trained is None:
        return "how far training got is unknown, because last.ckpt cannot be read"
    if not trained.ended:
        planned = trained.budget["steps"]
        return f"training has not ended (epoch {trained.epochs_trained:g}, step {trained.steps_trained:,} of {planned:,})"
    if trained.step == trained.last_validated:
        limit = "trainer.max_epochs" if trained.budget["trainer.max_steps"] < 0 else "trainer.max_epochs or trainer.max_steps"
        return f"not converged: the best epoch, {trained.epochs:g}, is the last one that was validated; train longer ({limit})"
    return ""


def _trained_until(trained: TrainingFacts) -> str:
    if trained.steps_trained is None or trained.steps_trained == trained.step:
        return ""
    how = {"patience": ", where patience ended it", "length": ", its end", "": " so far"}[trained.ended]
    return f"; trained to epoch {trained.epochs_trained:g}{how}"


def _values(budgets: Sequence[dict[str, Any]], key: str) -> str:
    return " and ".join(dict.fromkeys(str(budget.get(key)) for budget in budgets))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))
