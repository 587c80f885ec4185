"""What the runs cost and which settings were tried, as Markdown, from the lines of facts."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from benchmarks.harness.ledger import Line
from benchmarks.longtail import tables
from benchmarks.longtail.markdown import table
from benchmarks.longtail.results import RANKED, TRAINED, Results


def costs(results: Results) -> Iterable[str]:
    """Seconds of training and ranking by method, and how often joint training's they are."""
    rows = []
    for data, lines in _by_data(results):
        base = _seconds(lines, tables.BASE)
        for method in tables.METHODS:
            if (own := _seconds(lines, method)) and base:
                ranking = [line["seconds"] for line in lines if line["phase"] == RANKED and line["method"] == method]
                spent = f"{median(ranking):.0f}" if ranking else ""
                rows.append([data, method, f"{own:.0f}", f"{own / base:.2f}", spent, _epochs(lines, method)])
    if rows:
        yield "## Cost"
        yield (
            "Seconds of the processor on one thread, the median over runs: training, the same over joint training's, ranking "
            "validation and test with one variant."
        )
        yield table(["log and backbone", "method", "training", "over joint", "ranking", "best epoch of all"], rows)


def _seconds(lines: list[Line], method: str) -> float:
    found = [line["seconds"] / line["busy"] for line in lines if line["phase"] == TRAINED and line["method"] == method]
    return median(found) if found else 0.0


def _epochs(lines: list[Line], method: str) -> str:
    found = [line for line in lines if line["phase"] == TRAINED and line["method"] == method]
    return ", ".join(f"{line['best_epoch']:g} of {line['epochs']:g}" for line in found[-3:])


def tuning(results: Results) -> Iterable[str]:
    """Validation of every setting that was tried."""
    rows = []
    for data, lines in _by_data(results):
        tried = [line for line in lines if line["phase"] == TRAINED and line["seed"] == 0]
        for method in tables.METHODS:
            own = [line for line in tried if line["method"] == method]
            best = max((line["validation"]["all"]["ndcg@10"] for line in own), default=0.0)
            for line in own:
                values = [line["validation"][group]["ndcg@10"] for group in ("all", "tail", "head")]
                name = f"**{line['setting']}**" if values[0] == best else line["setting"]
                rows.append([data, method, name, " ".join(line["words"]), *(f"{value:.4f}" for value in values)])
    if rows:
        yield "## Settings tried"
        yield "Validation NDCG@10, seed 0; the chosen one in bold."
        yield table(["log and backbone", "method", "setting", "words", "all", "tail", "head"], rows)


def _by_data(results: Results) -> Iterable[tuple[str, list[Line]]]:
    for log in tables.LOGS:
        for model in tables.MODELS:
            if lines := results.ledger.lines(f"{log}-{model}"):
                yield f"{log}-{model}", lines
