"""Lines of results -> one Markdown page: their figure, ours in their terms, ours with a better baseline, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from harness.ledger import Line
from papers_cells import Cell, Measured, finding, printed
from papers_tables import CLAIMS, Claim
from papers_work import Bench

from ltrec.core.storage.atomic import atomic_write_text

ABOUT = """# Claims of papers, in their own terms and against a better baseline

Written by `benchmarks/papers.py` from the lines beside this file; do not edit it.

A claim is measured twice: with the loss of the paper, and with the baseline that we would hold a method against; all else is the
same. Changes are against the base of the same column, user by user and seed by seed, with 95 % intervals over users and seeds. A
gain is *shown* when its interval lies above zero with three seeds or more. Settings were chosen by validation NDCG@10, seed 0; the
test split was ranked once per final run. Seconds are of one thread, the median over seeds; `busy` is seconds on the clock over
seconds of the processor."""


def write_page(path: Path, bench: Bench) -> None:
    """Make the page from all lines that are there."""
    parts = [ABOUT]
    for claim in CLAIMS.values():
        parts += [f"## {claim.title}", claim.about]
        for data in claim.data:
            sides = tuple(Measured(side, bench.ledger(claim, side).lines(data)) for side in claim.sides)
            parts += [f"### {data}", *_of_data(claim, data, *sides)]
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, "\n\n".join(parts) + "\n")


def _of_data(claim: Claim, data: str, theirs: Measured, ours: Measured) -> Iterable[str]:
    if missing := [text for side in (theirs, ours) if (text := _missing(side, claim.seeds[data]))]:
        yield f"**Incomplete**, of {claim.seeds[data]} seeds: {'; '.join(missing)}."
    if untried := [text for side in (theirs, ours) if (text := _untried(side))]:
        yield f"**Settings not tried yet**: {'; '.join(untried)}."
    if not any(line["phase"] == "summary" for side in (theirs, ours) for line in side.lines):
        return
    if findings := _findings(claim, data, theirs, ours):
        yield findings
    for metric in claim.metrics:
        yield f"**{metric.upper()}**, test"
        yield _figures(claim, data, metric, theirs, ours)
    yield "**Runs**"
    yield _runs(theirs, ours)
    yield "**Settings tried**, validation, seed 0"
    yield _tuning(theirs, ours)


def _missing(side: Measured, wanted: int) -> str:
    short = [f"{m} {n or 'none'}" for m in side.side.protocol.methods if (n := side.seeds(m)) < wanted]
    return f"{side.side.label}: {', '.join(short)}" if short else ""


def _untried(side: Measured) -> str:
    """Settings without a line, of methods that have one."""
    tried = {(line["method"], line["setting"]) for line in side.lines if line["phase"] == "tune"}
    methods = {method for method, _ in tried}
    every = ((m, setting) for m, of_method in side.side.protocol.settings.items() if m in methods for setting in of_method)
    left = [f"{method} {setting}" for method, setting in every if (method, setting) not in tried]
    return f"{side.side.label}: {', '.join(left)}" if left else ""


def _findings(claim: Claim, data: str, theirs: Measured, ours: Measured) -> str:
    """A line for each printed gain: does it hold?"""
    metric, lines = claim.metrics[0], []
    for method in claim.published.get(data, {}):
        for group, label in claim.groups.items():
            told = printed(claim, data, method, group, metric)
            if told is None or method == theirs.base:
                continue
            mine, better = (side.cell(method, group, metric) for side in (theirs, ours))
            alone = ours.cell(ours.base, group, metric)
            beside = f" Our base alone has {alone.value:.4f}, {method} in their terms {mine.value:.4f}." if alone and mine else ""
            gain = f"{metric.upper()} {told.base:.4g} to {told.value:.4g}"
            lines.append(f"* {method}, {label} (printed: {gain}): {finding(mine, better)}.{beside}")
    return "\n".join(lines)


def _figures(claim: Claim, data: str, metric: str, theirs: Measured, ours: Measured) -> str:
    rows = []
    for method in dict.fromkeys((*theirs.side.protocol.methods, *ours.side.protocol.methods)):
        for group, label in claim.groups.items():
            cells = [printed(claim, data, method, group, metric), *(side.cell(method, group, metric) for side in (theirs, ours))]
            if any(cells):
                rows.append([method, label, *map(_cell, cells)])
    return _table(["method", "users", "printed", theirs.side.label, ours.side.label], rows)


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return ""
    if cell.value == cell.base and cell.low is None:
        return f"{cell.value:.4f}"
    if not cell.base:
        return f"{cell.value:.4f} (base 0)"
    share = 100 / cell.base
    interval = "" if cell.low is None or cell.high is None else f" [{cell.low * share:+.1f}, {cell.high * share:+.1f}]"
    return f"{cell.value:.4f} ({(cell.value - cell.base) * share:+.1f} %{interval})"


def _runs(*sides: Measured) -> str:
    rows = []
    for side in sides:
        for method in side.side.protocol.methods:
            final = [line for line in side.lines if line["phase"] == "final" and line["method"] == method]
            if final:
                rows.append([side.side.label, method, *_cost(final)])
    return _table(["loss", "method", "setting", "seeds", "best epochs", "seconds", "busy", "commit"], rows)


def _cost(final: list[Line]) -> list[str]:
    best = ", ".join(f"{line['best_epoch']:g} of {line['epochs']:g}" for line in final)
    settings = ", ".join(dict.fromkeys(line["setting"] for line in final))
    seconds, busy = median(line["seconds"] for line in final), max(line["busy"] for line in final)
    commits = ", ".join(sorted({line["commit"] for line in final}))
    return [settings, str(len(final)), best, f"{seconds:.0f}", f"{busy:.2f}", commits]


def _tuning(*sides: Measured) -> str:
    rows = []
    for side in sides:
        for line in (line for line in side.lines if line["phase"] == "tune"):
            words = f"`{' '.join(line['words'])}`" if line["words"] else ""
            value = f"{line['validation']['all']['ndcg@10']:.4f}"
            rows.append([side.side.label, line["method"], line["setting"], words, value, f"{line['best_epoch']:g}"])
    return _table(["loss", "method", "setting", "words", "NDCG@10", "best epoch"], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
