"""Builds the page from runs: which section shows what, and the sentences for what is missing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ltrec.core.counting import counted
from ltrec.core.errors import UserError
from ltrec.core.secrets import masked, secrets_of
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.results import MethodRuns, Results, RivalComparison, results_of
from ltrec.reporting.figures import activity_panel, grid_panel, loss_panel, strata_panel, validation_panel
from ltrec.reporting.method import Method, labels, methods
from ltrec.reporting.run_results import RunResults
from ltrec.reporting.sections.answer import badge, judged_answer, served_answer, untested_answer
from ltrec.reporting.sections.cautions import cautions
from ltrec.reporting.sections.facts import protocol_facts, provenance_facts
from ltrec.reporting.sections.gradients import gradients
from ltrec.reporting.sections.reach import UNKNOWN_REACH, reached
from ltrec.reporting.sections.versus import differences_table, forest_panel, pairing_note, reasons
from ltrec.reporting.sentences import cold_users, grid_notes, headline, lede, limits, tiles
from ltrec.reporting.tables import coverage_table, full_table, group_table, side_by_side
from ltrec.reporting.view import Answer, EvaluatedSections, Page, Panel, Reached, Table, Versus
from ltrec.version import __version__


def build_page(runs: Sequence[RunResults], config: EvaluationConfig) -> Page:
    """The content of the page.

    Raises:
        UserError: another run was not evaluated, or cannot be compared with the first.
    """
    found = methods(runs)
    mine, results = found[0], _results(found, config)
    if results is None and len(runs) > 1:
        raise UserError(
            f"{runs[0].path} has no evaluation to compare with {runs[1].path}; run 'ltrec evaluate {runs[0].path}' first"
        )
    data, histories = _data(runs[0]), mine.histories()
    names = _training_names(runs[0], data) or (results.table.strata.names() if results else ())
    by_stratum = strata_panel(results.summary, results.strata, results.beside()) if results else None
    warned = cautions(mine, found[1:])
    answer = _answer(mine, results, by_stratum, warned)
    return Page(
        version=__version__,
        title=_title(mine, answer),
        kicker=_kicker(mine, data, results),
        answer=answer,
        evaluated=_evaluated(found, results, by_stratum) if results else None,
        loss=loss_panel(histories, names),
        validation=validation_panel(histories),
        gradients=gradients(found, names),
        protocol=protocol_facts(results.summary, mine, config) if results else (("Evaluated", "no"),),
        provenance=provenance_facts(mine),
        config=None if runs[0].config is None else masked(runs[0].config, secrets_of(os.environ)),
        config_of=mine.runs[0].name if len(mine.runs) > 1 else "",
        limits=limits(results.summary if results else None, len(mine.runs)) + _without_reach(results),
        footer=_footer(runs),
    )


def _results(found: Sequence[Method], config: EvaluationConfig) -> Results | None:
    """Results on the split of the first method; None if it was not evaluated."""
    mine, called = found[0], labels(found)
    split = mine.runs[0].split()
    if split is None:
        return None
    runs = [
        MethodRuns(method.name, called[i], [*zip((run.path for run in method.runs), method.tables(split), strict=True)])
        for i, method in enumerate(found)
    ]
    return results_of(runs, mine.baselines(split), config)


def _without_reach(results: Results | None) -> tuple[str, ...]:
    return (UNKNOWN_REACH,) if results and results.reach is None else ()


def _reach(found: Sequence[Method], results: Results) -> Reached | None:
    if results.reach is None:
        return None
    return reached(labels(found)[0], results.reach, results.rivals[0].label if results.rivals else "", results.rival_reach)


def _answer(mine: Method, results: Results | None, by_stratum: Panel | None, warned: tuple[str, ...]) -> Answer:
    if results is None or by_stratum is None:
        return untested_answer(mine, warned)
    if results.rivals:
        return judged_answer(results.rivals, results.summary, results.baselines, warned)
    return served_answer(mine, results.summary, results.baselines, by_stratum, warned)


def _evaluated(found: Sequence[Method], results: Results, by_stratum: Panel | None) -> EvaluatedSections:
    summary, baselines = results.summary, results.baselines
    words = (headline(summary), *lede(summary)) if results.rivals else ()
    return EvaluatedSections(
        tiles=tiles(summary, baselines),
        words=words,
        metrics=group_table(summary, baselines),
        all_metrics=full_table(summary),
        activity=activity_panel(results.table, results.strata),
        by_stratum=by_stratum if results.rivals else None,
        reach=_reach(found, results),
        grid=grid_panel(summary),
        grid_notes=grid_notes(summary),
        coverage=coverage_table(summary, {**results.others, **baselines}),
        comparisons=_comparisons(results),
        methods=side_by_side({labels(found)[0]: summary, **results.others}) if results.others else None,
        seeds=_seed_table(found, results),
        cold=cold_users(summary),
    )


def _comparisons(results: Results) -> tuple[Versus, ...]:
    """Sections against every other method; for a single method, against the popularity baseline, without a verdict."""
    if results.rivals:
        return tuple(_versus(rival, i) for i, rival in enumerate(results.rivals, 1))
    return () if results.popularity is None else (_versus(results.popularity, 1),)


def _versus(it: RivalComparison, index: int) -> Versus:
    """The section of a comparison; what the first screen shows is not repeated."""
    first = it.judged is not None and index == 1
    return Versus(
        id=f"against-{index}",
        title=f"Against {it.label}",
        badge=badge(it) if it.judged or it.refusal else None,
        reasons=reasons(it) if (it.judged or it.refusal) and not first else (),
        note=pairing_note(it),
        table=differences_table(it),
        forest=None if first or (it.refusal and index == 1) else forest_panel(it, index),
    )


def _seed_table(found: Sequence[Method], results: Results) -> Table | None:
    """Results of every run, if a method has several."""
    runs = [run for method in found for run in method.runs] if results.seeds else []
    names = [run.name for run in runs]
    called = [name if names.count(name) == 1 else str(run.path) for name, run in zip(names, runs, strict=True)]
    return side_by_side(dict(zip(called, results.seeds, strict=True))) if called else None


def _title(mine: Method, answer: Answer) -> str:
    """The title of the browser tab, beginning with the verdict."""
    verdict = f"{answer.badge.word}: {''.join(part.text for part in answer.line)}" if answer.badge else mine.name
    return f"{verdict} \N{MIDDLE DOT} ltrec"


def _footer(runs: Sequence[RunResults]) -> str:
    more = f" and {counted(len(runs) - 1, 'more run')}" if len(runs) > 1 else ""
    return f"Made by ltrec {__version__} from {runs[0].path}{more}. One file, no scripts, nothing loaded from elsewhere."


def _data(run: RunResults) -> Mapping[str, Any]:
    data = (run.provenance or {}).get("data")
    return data if isinstance(data, dict) else {}


def _kicker(mine: Method, data: Mapping[str, Any], results: Results | None) -> tuple[str, ...]:
    scorer = results.summary.name if results and results.summary.name != mine.name else None
    parts = [mine.label, data.get("name"), f"{results.summary.protocol.split} split" if results else None, scorer]
    return tuple(dict.fromkeys(str(part) for part in parts if part))


def _training_names(run: RunResults, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the strata that the run was trained with, which may be fewer than the data set's (not in older runs)."""
    strata = data.get("strata")
    names = (run.provenance or {}).get("training_strata") or (strata.get("names") if isinstance(strata, dict) else None)
    return tuple(str(name) for name in names) if isinstance(names, list) else ()
