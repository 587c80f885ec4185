"""How the ranked checkpoint came about: which moment of training it is, whether training had converged, and what it was allowed.

A run that was stopped while it still improved, or that was allowed half the epochs, loses a comparison for no merit of the other.
So every table of a model carries the facts, and whoever shows or judges it says the lines below.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ltrec.evaluation.table import EvalTable

KEY = "training"
"""Of a table's source."""


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """Facts about the run behind a table.

    Attributes:
        step: optimiser steps of the ranked checkpoint.
        epochs: its passes over the data.
        monitor: the metric that `best` is chosen by.
        value: of that metric at that moment; None when it was not measured there.
        steps_trained: optimiser steps that the run has come to; None where its last checkpoint cannot be read.
        epochs_trained: the same in passes over the data.
        last_validated: step of the run's last validation; None when there was none, or it was in another stage.
        ended: ``patience``, ``length``, or empty when training may go on.
        budget: what training was allowed: values by key of the config, and ``steps``, the optimiser steps of the whole plan.
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
    """The facts that a table carries; None for a baseline, which is not trained."""
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
    return f"{name}.ckpt{instead}{kind}, epoch {trained.epochs:g}, step {trained.step:,}, {value}{_came_to(trained)}"


def convergence_lines(tables: Iterable[EvalTable]) -> tuple[str, ...]:
    """What keeps models from being judged as trained out, one line for each fact, with the names of those it is true of."""
    found: dict[str, list[str]] = {}
    for table in tables:
        if (trained := facts_of(table)) is not None and (fact := _unfinished(trained)):
            found.setdefault(fact, []).append(table.name)
    return tuple(f"{_listed(names)}: {fact}" for fact, names in found.items())


def budget_line(base: Sequence[EvalTable], other: Sequence[EvalTable]) -> str | None:
    """That two sides were not allowed the same, naming each setting; None when they were, or one of them is a baseline."""
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
    """All that a comparison must say of how its sides were trained."""
    unequal = budget_line(base, other)
    return (*convergence_lines([*other, *base]), *([] if unequal is None else [unequal]))


def _unfinished(trained: TrainingFacts) -> str:
    """Why its best may not be the best; empty when nothing speaks for it."""
    if trained.steps_trained is None:
        return "how far training came is not known, for last.ckpt cannot be read"
    if not trained.ended:
        planned = trained.budget["steps"]
        return f"training has not ended (epoch {trained.epochs_trained:g}, step {trained.steps_trained:,} of {planned:,})"
    if trained.step == trained.last_validated:
        limit = "trainer.max_epochs" if trained.budget["trainer.max_steps"] < 0 else "trainer.max_epochs or trainer.max_steps"
        return f"not converged: the best epoch, {trained.epochs:g}, is the last one that was validated; train longer ({limit})"
    return ""


def _came_to(trained: TrainingFacts) -> str:
    if trained.steps_trained is None or trained.steps_trained == trained.step:
        return ""
    how = {"patience": ", where patience ended it", "length": ", its end", "": " so far"}[trained.ended]
    return f"; trained to epoch {trained.epochs_trained:g}{how}"


def _values(budgets: Sequence[dict[str, Any]], key: str) -> str:
    return " and ".join(dict.fromkeys(str(budget.get(key)) for budget in budgets))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))
