"""From runs as read to the page as shown: what is summarised, what is compared, and what is said where something is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ltrec
from ltrec.core.errors import UserError
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.report_facts import protocol_facts, provenance_facts
from ltrec.evaluation.report_figures import activity_panel, grid_panel, loss_panel, strata_panel, validation_panel
from ltrec.evaluation.report_gradients import gradients
from ltrec.evaluation.report_run import RunFolder
from ltrec.evaluation.report_tables import coverage_table, full_table, group_table, runs_table
from ltrec.evaluation.report_versus import FLOOR, SAME, experiments, tables_of, title_of, verdict, versus
from ltrec.evaluation.report_view import Evaluated, Page, Part, Sentence, Table, Verdict, Versus
from ltrec.evaluation.report_words import cold_users, grid_notes, headline, lede, limits, tiles
from ltrec.evaluation.summary import Summary, summarise
from ltrec.evaluation.table import EvalTable


@dataclass(frozen=True, slots=True)
class _Judged:
    """The evaluated split of the run in question, with the baselines of that split by name."""

    split: str
    table: EvalTable
    summary: Summary
    baseline_tables: Mapping[str, EvalTable]
    baselines: Mapping[str, Summary]


def build_page(runs: Sequence[RunFolder], config: EvaluationConfig) -> Page:
    """Everything the page says.

    Raises:
        UserError: when a further run was not evaluated or must not be compared with the first.
    """
    run, judged = runs[0], _judge(runs[0], config)
    if judged is None and len(runs) > 1:
        raise UserError(f"{run.path} has no evaluation to compare with {runs[1].path}; run 'ltrec evaluate {run.path}' first")
    data = _data(run)
    names = _training_names(run, data) or (judged.table.strata.names() if judged else ())
    return Page(
        version=ltrec.__version__,
        title=f"{run.name} \N{MIDDLE DOT} ltrec",
        kicker=_kicker(run, data, judged),
        headline=headline(judged.summary) if judged else (Part("This run has not been evaluated yet."),),
        lede=lede(judged.summary, judged.baselines) if judged else (_only_training(run),),
        evaluated=_evaluated(runs, judged, config) if judged else None,
        loss=loss_panel(run.history, names),
        validation=validation_panel(run.history),
        training_notes=_training_notes(run),
        gradients=gradients(runs, names),
        protocol=protocol_facts(judged.summary, judged.table, run.provenance, config) if judged else (("Evaluated", "no"),),
        provenance=provenance_facts(run.provenance),
        config=run.config,
        limits=limits(judged.summary if judged else None, _seeds_a_side(runs)),
        footer=f"Made by ltrec {ltrec.__version__} from {run.path}. One file, no scripts, nothing loaded from elsewhere.",
    )


def _judge(run: RunFolder, config: EvaluationConfig) -> _Judged | None:
    split = run.split()
    if split is None:
        return None
    tables = run.baselines(split)
    return _Judged(
        split, run.tables[split], summarise(run.tables[split], config), tables, {n: summarise(t, config) for n, t in tables.items()}
    )


def _evaluated(runs: Sequence[RunFolder], judged: _Judged, config: EvaluationConfig) -> Evaluated:
    verdicts, comparisons = _compared(runs, judged, config)
    summary, baselines = judged.summary, judged.baselines
    return Evaluated(
        tiles=tiles(summary, baselines),
        verdicts=verdicts,
        metrics=group_table(summary, baselines),
        all_metrics=full_table(summary),
        activity=activity_panel(judged.table),
        by_stratum=strata_panel(summary, judged.table, baselines),
        grid=grid_panel(summary),
        grid_notes=grid_notes(summary),
        coverage=coverage_table(summary, baselines),
        comparisons=comparisons,
        side_by_side=_side_by_side(runs, judged, config),
        cold=cold_users(summary),
    )


def _compared(
    runs: Sequence[RunFolder], judged: _Judged, config: EvaluationConfig
) -> tuple[tuple[Verdict, ...], tuple[Versus, ...]]:
    """Against every other experiment; else against its other seeds, one by one; a run alone against the popularity baseline."""
    mine, *others = experiments(runs)
    other = tables_of(mine if others else mine[:1], judged.split)
    bases = [(title_of(e), tables_of(e, judged.split)) for e in others]
    bases = bases or [(run.name + SAME, tables_of([run], judged.split)) for run in mine[1:]]
    if not bases and "popularity" in judged.baseline_tables:
        bases = [(FLOOR, [judged.baseline_tables["popularity"]])]
    verdicts = tuple(verdict(base, other, name, config) for name, base in bases)
    return verdicts, tuple(versus(base, other, name, i, config) for i, (name, base) in enumerate(bases, 1))


def _seeds_a_side(runs: Sequence[RunFolder]) -> int:
    sides = experiments(runs)
    return max(len(side) for side in sides) if len(sides) > 1 else 1


def _side_by_side(runs: Sequence[RunFolder], judged: _Judged, config: EvaluationConfig) -> Table | None:
    if len(runs) < 2:
        return None
    names = [run.name if [r.name for r in runs].count(run.name) == 1 else str(run.path) for run in runs]
    return runs_table({name: summarise(run.tables[judged.split], config) for name, run in zip(names, runs, strict=True)})


def _data(run: RunFolder) -> Mapping[str, Any]:
    data = (run.provenance or {}).get("data")
    return data if isinstance(data, dict) else {}


def _kicker(run: RunFolder, data: Mapping[str, Any], judged: _Judged | None) -> tuple[str, ...]:
    words = [run.name, data.get("name"), f"{judged.split} split" if judged else None, judged.table.name if judged else None]
    return tuple(dict.fromkeys(str(word) for word in words if word))


def _only_training(run: RunFolder) -> Sentence:
    return (Part(f"What follows is its training alone. Run 'ltrec evaluate {run.path}' and report again."),)


def _training_names(run: RunFolder, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Of the strata that the run was trained with, which may be fewer than the data set's; those of older runs were its own."""
    strata = data.get("strata")
    names = (run.provenance or {}).get("training_strata") or (strata.get("names") if isinstance(strata, dict) else None)
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def _training_notes(run: RunFolder) -> tuple[str, ...]:
    if run.history is None or not run.history.cut_short:
        return ()
    return ("The last line of metrics.jsonl is incomplete (the run was stopped while writing it) and is not shown.",)
