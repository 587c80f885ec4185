"""Committed results -> a page and its figure: `python -m benchmarks.peers.page`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from benchmarks.longtail.markdown import table
from benchmarks.peers.figure import write_figure
from benchmarks.peers.summary import Summary
from benchmarks.peers.tables import BARS, EVAL_ROWS, MODEL, OTHERS, OWN, ROUNDED, ROWS, SYSTEMS
from ltrec.core.storage.atomic import atomic_write_text

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "results" / "peers.md"

ABOUT = """Written by `python -m benchmarks.peers.page` from the files in `benchmarks/peers/results`, which
`make bench-peers LOGS=DIR` makes; do not edit it.

The same SASRec (width {width}, {blocks} blocks, {heads} heads, dropout {dropout}, exact softmax over all items, Adam) trains on the
same sequences (the last L + 1 training events of every user), {rows} a step, and ranks every item for every user's last event,
{eval_rows} users at once. Every run is a process of its own with one thread; the libraries take turns, each in an environment of
its own with pinned versions (`benchmarks/peers/requirements`). Counted are processor seconds, which other work changes
less than time on the clock. Ratios are those of runs in the same round, and the median over rounds. Of several epochs the
cheapest counts, without validation. Memory is the most that the process has had, with all that it has loaded. Quality after so few
epochs only shows that something was learned."""

COLUMNS = (
    "library",
    "rounds",
    "training: ms of CPU per 1,000 targets",
    "times ltrec",
    "evaluation: ms of CPU per 1,000 users",
    "times ltrec",
    "peak MiB",
    "times ltrec",
    "HR@10",
    "NDCG@10",
)


TARGETS = ("ratio", "cell", "library", "at least", "measured", "met", "with bfloat16")


def write_page(results: Path = RESULTS, page: Path = PAGE) -> Summary:
    """Write page and figure; what they show."""
    summary = Summary.read(results)
    sizes = {**MODEL, "rows": ROWS, "eval_rows": EVAL_ROWS}
    blocks = ["# Beside RePlay, RecBole and RecTools", ABOUT.format(**sizes)]
    picture = page.with_suffix(".png")
    if caption := write_figure(picture, summary):
        blocks.append(f"![{caption}]({picture.name})")
    for log, length in summary.cells():
        blocks += [f"## {log}, length {length}", table(COLUMNS, _rows(summary, log, length)), *_cut(summary, log, length)]
    blocks += ["## Targets", table(TARGETS, _targets(summary))]
    blocks += ["## What is not equal", *(_unequal(name) for name in SYSTEMS)]
    atomic_write_text(page, "\n\n".join(blocks) + "\n")
    return summary


def _rows(summary: Summary, log: str, length: int) -> Iterable[list[str]]:
    for name in SYSTEMS:
        runs = list(summary.runs(log, length, name).values())
        if not runs:
            continue
        cells = [runs[-1]["system"], str(len(runs))]
        for measure, scale, form in (("training", 1e6, ",.0f"), ("evaluation", 1e6, ",.0f"), ("memory", 1, ",.0f")):
            ratio = 1.0 if name == OWN else summary.ratio(log, length, name, measure)
            cells += [format(scale * summary.median(log, length, name, measure), form), f"{ratio:.2f}" if ratio else ""]
        yield [*cells, *(f"{runs[0][metric]:.4f}".removeprefix("0") for metric in ("hr", "ndcg"))]


def _cut(summary: Summary, log: str, length: int) -> list[str]:
    """A remark where epochs were cut."""
    steps = {line["steps"] for name in OTHERS for line in summary.runs(log, length, name).values()} - {0}
    return (
        [f"Epochs of the others were cut after {max(steps)} steps, for cost is per target; their quality then says little."]
        if steps
        else []
    )


def _targets(summary: Summary) -> Iterable[list[str]]:
    for bar in BARS:
        reached = summary.reached(bar)
        verdict = ["not measured", ""] if reached is None else [f"{reached:.2f}", "yes" if reached >= bar.least else "**no**"]
        library = SYSTEMS[bar.system].title if bar.system else "the least"
        rounded = summary.reached(bar, ROUNDED)
        yield [bar.measure, f"{bar.log} at {bar.length}", library, f"{bar.least:g}", *verdict, f"{rounded:.2f}" if rounded else ""]


def _unequal(name: str) -> str:
    return "\n".join([f"**{SYSTEMS[name].title}**", "", *(f"* {what}" for what in SYSTEMS[name].unequal)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of results")
    folder = parser.parse_args().results
    write_page(folder, PAGE if folder == RESULTS else folder / PAGE.name)
