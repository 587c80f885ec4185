"""Committed results -> one Markdown page and its figure: `python -m benchmarks.longtail.page`. No run folder is needed."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from benchmarks.longtail import tables
from benchmarks.longtail.commands import prepare_words
from benchmarks.longtail.comparisons import SECTIONS, Comparison
from benchmarks.longtail.figure import write_figure
from benchmarks.longtail.judge import Judge, Scorer, gap, spread, worst
from benchmarks.longtail.markdown import table
from benchmarks.longtail.page_costs import costs, tuning
from benchmarks.longtail.page_grid import grid
from benchmarks.longtail.page_reach import reach
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.evaluation.comparison.compare import Difference
from ltrec.evaluation.comparison.verdict import DatasetVerdict
from ltrec.evaluation.config import EvaluationConfig

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "results" / "longtail.md"
SIDES = ("all", "tail", "head")

ABOUT = """Written by `python -m benchmarks.longtail.page` from the files in `benchmarks/longtail/results`; do not edit it.

Leave-one-out, every item ranked, items of the history left out (a target that is one of them stays in), events at one time in the
order of a hash. Head: the most active fifth of the users; strata by training events, least active first. Every method tried at most
{budget} settings on validation, seed 0; the chosen one was trained with every seed, and the test split ranked once per run and
variant. Changes are paired, user by user and seed by seed, with 95 % intervals over users and seeds. The gate: tail NDCG@10 up
(one-sided p < .05, Holm over the logs of a table and backbone) and head NDCG@10 not more than 5 % below (one-sided 95 %). Over the
tables p-values are not adjusted.
"""


def write_page(results: Path = RESULTS, page: Path = PAGE, config: EvaluationConfig | None = None) -> None:
    """Make the page anew, and the figure beside it."""
    judge = Judge(results, config or EvaluationConfig())
    parts = ["# Who serves the tail", ABOUT.format(budget=tables.BUDGET).strip()]
    if caption := write_figure(page.with_suffix(".png"), judge):
        parts += [f"![{caption}]({page.with_suffix('.png').name})", caption]
    for section in SECTIONS:
        if rows := [row for comparison in section.comparisons for row in _judged(judge, comparison)]:
            parts += [f"## {section.title}", section.about, table(_CHANGES, rows)]
    for log in judge.logs:
        parts += [f"## {log}", f"`{prepare_words(log)}`", *reach(judge, log), *_of_log(judge, log)]
    parts += [*costs(judge.results), *tuning(judge.results)]
    atomic_write_text(page, "\n\n".join(parts) + "\n")


_CHANGES = ["comparison", "log", "backbone", "seeds", *SIDES, "worst stratum", "tail p", "gate"]


def _judged(judge: Judge, comparison: Comparison) -> Iterable[list[str]]:
    for model in tables.MODELS:
        for log, verdict in judge.gates(model, comparison.base, comparison.other).items():
            paired = judge.paired(log, model, comparison.base, comparison.other)
            assert paired is not None
            changes = judge.changes(paired, SIDES)
            before, after = (_short(worst(judge.means(side))[1]) for side in (paired.base, paired.other))
            told = [
                comparison.title,
                log,
                model,
                str(len(paired.seeds)),
                *(_change(changes[side]) for side in SIDES),
                f"{before} to {after}",
            ]
            yield [*told, f"{verdict.tail.p:.4f}", _verdict(verdict)]


def _change(change: Difference) -> str:
    share = change.share()
    return f"{100 * share.mean:+.1f} % [{100 * share.low:+.1f}, {100 * share.high:+.1f}]"


def _verdict(verdict: DatasetVerdict) -> str:
    said = f"**{verdict.verdict}** (tail {verdict.tail.verdict}, head {verdict.head.verdict})"
    return "; ".join([said, *verdict.notes])


def _of_log(judge: Judge, log: str) -> Iterable[str]:
    for model in tables.MODELS:
        if any(judge.seeds(log, model, scorer) for scorer in _scorers() if scorer.method != tables.UNTRAINED):
            yield f"**{model}**, NDCG@10 on test, mean over seeds; `luck` is the standard deviation of seeds' means"
            yield table(_heading(judge, log), _means(judge, log, model))
            yield from grid(judge, log, model)


def _heading(judge: Judge, log: str) -> list[str]:
    strata = judge.logs[log].table.strata.names()
    return ["scorer", "seeds", *SIDES, *(f"{name} events" for name in strata), "worst", "gap", "luck", "HR@10", "NDCG@20"]


def _means(judge: Judge, log: str, model: str) -> Iterable[list[str]]:
    for scorer in _scorers():
        if runs := judge.seeds(log, model, scorer):
            means = judge.means(runs)
            strata = [f"stratum={number}" for number in range(runs[0].strata.count)]
            values = [_short(means.get(key)) for key in (*SIDES, *strata)]
            others = [_short(judge.means(runs, metric)["all"]) for metric in ("hr@10", "ndcg@20")]
            yield [scorer.name, str(len(runs)), *values, _short(worst(means)[1]), _short(gap(means)), _short(spread(runs)), *others]


def _short(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.4f}".removeprefix("0")


def _scorers() -> Iterable[Scorer]:
    yield from (Scorer(tables.UNTRAINED, name) for name in tables.BASELINES)
    for method in tables.METHODS:
        yield from (Scorer(method, name) for name in (*tables.variants(method), *tables.variants_of_two(method)))


def main() -> None:
    """Make the page of a folder of results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--page", type=Path, default=PAGE, help="file to write; the figure goes beside it")
    options = parser.parse_args()
    write_page(options.results, options.page)


if __name__ == "__main__":
    main()
