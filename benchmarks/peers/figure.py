"""The figure: how many times as much as the project every library needs, cell by cell, on a logarithmic axis."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.peers.summary import Summary
from benchmarks.peers.tables import OTHERS, SYSTEMS
from ltrec.core.storage.atomic import atomic_path
from ltrec.reporting.plots.style import Theme, render

PANELS = {"training": "training, CPU per target", "evaluation": "evaluation, CPU per user", "memory": "peak memory"}
THICK = 0.24


def write_figure(path: Path, summary: Summary) -> str:
    """Draw what there is; its caption, or nothing, and no file, where there is nothing to draw."""
    cells = summary.cells()
    if not cells:
        return ""
    caption = "How many times as much as ltrec each library needs for the same SASRec: medians of runs in turn, one thread each."

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots(1, len(PANELS), sharey=True)
        for place, measure in zip(axes, PANELS, strict=True):
            panel(place, theme, summary, measure)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=len(OTHERS), frameon=False)

    image = render(path.stem, paint, alt=caption, caption=caption, inches=(9.6, 1.3 + 0.7 * len(cells)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(image.light)
    return caption


def panel(axes: Axes, theme: Theme, summary: Summary, measure: str) -> None:
    """One measure."""
    cells = summary.cells()
    for shift, (name, colour) in enumerate(zip(OTHERS, (theme.ink, theme.heat, theme.muted), strict=False)):
        found = {row: summary.ratio(*cell, name, measure) for row, cell in enumerate(cells)}
        known = {row: ratio for row, ratio in found.items() if ratio}
        rows = [row + (shift - 1) * THICK for row in known]
        axes.barh(rows, [ratio - 1 for ratio in known.values()], THICK * 0.9, left=1, color=colour, label=SYSTEMS[name].title)
        for row, ratio in zip(rows, known.values(), strict=True):
            axes.text(max(1, ratio) * 1.06, row, f"{ratio:.3g}", va="center", fontsize=7.5, color=theme.muted)
    axes.axvline(1, color=theme.muted, linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([0.5, 1, 2, 5, 10, 20, 50, 100, 200]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.18)
    axes.set_yticks(range(len(cells)), [f"{log}, {length}" for log, length in cells])
    axes.set_ylim(len(cells) - 0.5, -0.5)  # the first cell on top
    axes.grid(visible=False, axis="y")
    axes.set_title(PANELS[measure])
    axes.set_xlabel("times ltrec")
