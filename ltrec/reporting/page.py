"""From runs as read to the page as shown: what is summarised, what is compared, and what is said where something is missing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltrec.core.counting import counted
from ltrec.core.errors import UserError
from ltrec.core.secrets import masked, secrets_of
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.reach import summarise_reach
from ltrec.evaluation.summary import Summary, summarise
from ltrec.evaluation.table import EvalTable
from ltrec.reporting.answer import badge, judged_answer, served_answer, untested_answer
from ltrec.reporting.cautions import cautions
from ltrec.reporting.facts import protocol_facts, provenance_facts
from ltrec.reporting.figures import activity_panel, grid_panel, loss_panel, strata_panel, validation_panel
from ltrec.reporting.gradients import gradients
from ltrec.reporting.method import Method, labels, methods
from ltrec.reporting.reach import UNKNOWN_REACH, reached
from ltrec.reporting.run_results import RunResults
from ltrec.reporting.tables import coverage_table, full_table, group_table, side_by_side
from ltrec.reporting.versus import Against, against, differences_table, forest_panel, pairing_note, reasons
from ltrec.reporting.view import Answer, EvaluatedSections, Page, Panel, Reached, Table, Versus
from ltrec.reporting.words import cold_users, grid_notes, headline, lede, limits, tiles
from ltrec.version import __version__


@dataclass(frozen=True, slots=True)
class _Judged:
    """The evaluated split of the method in question, with the baselines of that split that need no training, and the rivals.

    Attributes:
        split: test or valid.
        table: of its first run, for what all seeds share.
        summary: over its seeds.
        floor_tables, floors: the baselines by name.
        others: summaries of the other methods by label, the strongest first.
        rivals: the comparisons with them, the strongest first.
        reach: how far targets are, and how well the method and the strongest rival find them; None where it is not known.
    """

    split: str
    table: EvalTable
    summary: Summary
    floor_tables: Mapping[str, EvalTable]
    floors: Mapping[str, Summary]
    others: Mapping[str, Summary]
    rivals: tuple[Against, ...]
    reach: Reached | None

    def beside(self) -> dict[str, Summary]:
        """What the figure by stratum shows beside the method: the strongest rival, and the baselines."""
        return {**dict(list(self.others.items())[:1]), **self.floors}


def build_page(runs: Sequence[RunResults], config: EvaluationConfig) -> Page:
    """Everything the page says.

    Raises:
        UserError: when a further run was not evaluated or must not be compared with the first.
    """
    found = methods(runs)
    mine, judged = found[0], _judge(found, config)
    if judged is None and len(runs) > 1:
        raise UserError(
            f"{runs[0].path} has no evaluation to compare with {runs[1].path}; run 'ltrec evaluate {runs[0].path}' first"
        )
    data, histories = _data(runs[0]), mine.histories()
    names = _training_names(runs[0], data) or (judged.table.strata.names() if judged else ())
    by_stratum = strata_panel(judged.summary, judged.table, judged.beside()) if judged else None
    warned = cautions(mine, found[1:])
    answer = _answer(mine, judged, by_stratum, warned)
    return Page(
        version=__version__,
        title=_title(mine, answer),
        kicker=_kicker(mine, data, judged),
        answer=answer,
        evaluated=_evaluated(found, judged, by_stratum, config) if judged else None,
        loss=loss_panel(histories, names),
        validation=validation_panel(histories),
        gradients=gradients(found, names),
        protocol=protocol_facts(judged.summary, mine, judged.split, config) if judged else (("Evaluated", "no"),),
        provenance=provenance_facts(mine),
        config=None if runs[0].config is None else masked(runs[0].config, secrets_of(os.environ)),
        config_of=mine.runs[0].name if len(mine.runs) > 1 else "",
        limits=limits(judged.summary if judged else None, len(mine.runs)) + _without_reach(judged),
        footer=_footer(runs),
    )


def _judge(found: Sequence[Method], config: EvaluationConfig) -> _Judged | None:
    mine, *rest = found
    split = mine.runs[0].split()
    if split is None:
        return None
    tables, floors = mine.tables(split), mine.baselines(split)
    called = labels(found)
    rivals = [
        against(method.tables(split), tables, config, name=method.name, label=called[i], mine=mine.name)
        for i, method in enumerate(rest, 1)
    ]
    rivals.sort(key=lambda rival: -rival.strength())
    others = {called[i]: summarise(method.tables(split), config) for i, method in enumerate(rest, 1)}
    return _Judged(
        split=split,
        table=tables[0],
        summary=summarise(tables, config),
        floor_tables=floors,
        floors={name: summarise(table, config) for name, table in floors.items()},
        others={rival.label: others[rival.label] for rival in rivals},
        rivals=tuple(rivals),
        reach=_reach(found, tables, rivals[0].label if rivals else None, config),
    )


def _without_reach(judged: _Judged | None) -> tuple[str, ...]:
    return (UNKNOWN_REACH,) if judged and judged.reach is None else ()


def _reach(found: Sequence[Method], tables: Sequence[EvalTable], rival: str | None, config: EvaluationConfig) -> Reached | None:
    mine, called = summarise_reach(tables, config), labels(found)
    if mine is None:
        return None
    split = tables[0].protocol.split
    base = next((summarise_reach(method.tables(split), config) for i, method in enumerate(found) if i and called[i] == rival), None)
    return reached(called[0], mine, rival or "", base)


def _answer(mine: Method, judged: _Judged | None, by_stratum: Panel | None, warned: tuple[str, ...]) -> Answer:
    if judged is None or by_stratum is None:
        return untested_answer(mine, warned)
    if judged.rivals:
        return judged_answer(judged.rivals, judged.summary, judged.floors, warned)
    return served_answer(mine, judged.summary, judged.floors, by_stratum, warned)


def _evaluated(found: Sequence[Method], judged: _Judged, by_stratum: Panel | None, config: EvaluationConfig) -> EvaluatedSections:
    summary, floors, mine = judged.summary, judged.floors, found[0]
    words = (headline(summary), *lede(summary)) if judged.rivals else ()
    return EvaluatedSections(
        tiles=tiles(summary, floors),
        words=words,
        metrics=group_table(summary, floors),
        all_metrics=full_table(summary),
        activity=activity_panel(judged.table),
        by_stratum=by_stratum if judged.rivals else None,
        reach=judged.reach,
        grid=grid_panel(summary),
        grid_notes=grid_notes(summary),
        coverage=coverage_table(summary, {**judged.others, **floors}),
        comparisons=_comparisons(mine, judged, config),
        methods=side_by_side({labels(found)[0]: summary, **judged.others}) if judged.others else None,
        seeds=_seed_table(found, judged.split, config),
        cold=cold_users(summary),
    )


def _comparisons(mine: Method, judged: _Judged, config: EvaluationConfig) -> tuple[Versus, ...]:
    """Against every other method; a method alone against the popularity baseline, which is no gate to pass."""
    if judged.rivals:
        return tuple(_versus(rival, i) for i, rival in enumerate(judged.rivals, 1))
    base = judged.floor_tables.get("popularity")
    if base is None:
        return ()
    names = {"name": "popularity", "label": "popularity", "mine": mine.name}
    return (_versus(against([base], mine.tables(judged.split), config, **names, judge=False), 1),)


def _versus(it: Against, index: int) -> Versus:
    """The section of a comparison; what the first screen says of the first is not said again."""
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


def _seed_table(found: Sequence[Method], split: str, config: EvaluationConfig) -> Table | None:
    """Every run by itself, where a method has several."""
    if all(len(method.runs) == 1 for method in found):
        return None
    runs = [run for method in found for run in method.runs]
    names = [run.name for run in runs]
    called = [name if names.count(name) == 1 else str(run.path) for name, run in zip(names, runs, strict=True)]
    return side_by_side({name: summarise(run.tables[split], config) for name, run in zip(called, runs, strict=True)})


def _title(mine: Method, answer: Answer) -> str:
    """Of the browser's tab: the verdict first."""
    verdict = f"{answer.badge.word}: {''.join(part.text for part in answer.line)}" if answer.badge else mine.name
    return f"{verdict} \N{MIDDLE DOT} ltrec"


def _footer(runs: Sequence[RunResults]) -> str:
    more = f" and {counted(len(runs) - 1, 'more run')}" if len(runs) > 1 else ""
    return f"Made by ltrec {__version__} from {runs[0].path}{more}. One file, no scripts, nothing loaded from elsewhere."


def _data(run: RunResults) -> Mapping[str, Any]:
    data = (run.provenance or {}).get("data")
    return data if isinstance(data, dict) else {}


def _kicker(mine: Method, data: Mapping[str, Any], judged: _Judged | None) -> tuple[str, ...]:
    scorer = judged.summary.name if judged and judged.summary.name != mine.name else None
    words = [mine.label, data.get("name"), f"{judged.split} split" if judged else None, scorer]
    return tuple(dict.fromkeys(str(word) for word in words if word))


def _training_names(run: RunResults, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Of the strata that the run was trained with, which may be fewer than the data set's; those of older runs were its own."""
    strata = data.get("strata")
    names = (run.provenance or {}).get("training_strata") or (strata.get("names") if isinstance(strata, dict) else None)
    return tuple(str(name) for name in names) if isinstance(names, list) else ()
