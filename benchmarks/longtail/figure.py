"""The figure: what the headline comparison changes for tail and head, log by log, with intervals, in per cent of the base.

The shaded band is what the gate lets the head lose. The tail is asked to lie to the right of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.longtail import tables
from benchmarks.longtail.comparisons import COUNTED, Comparison
from benchmarks.longtail.judge import Judge
from ltrec.core.storage.atomic import atomic_path
from ltrec.evaluation.comparison.compare import Difference
from ltrec.reporting.plots.style import Theme, render

ROW_INCHES = 0.42

Changes = Mapping[str, Mapping[str, Difference]]
"""Log -> group -> change."""


def write_figure(path: Path, judge: Judge, comparison: Comparison = COUNTED) -> str:
    """Draw a comparison; its caption, or nothing, and no file, where there is nothing to draw."""
    panels = {model: found for model in tables.MODELS if (found := _changes(judge, model, comparison))}
    if not panels:
        return ""
    caption = (
        f"{comparison.title}: change of NDCG@10 with 95 % intervals over users and seeds, in per cent of the base. Shaded: what "
        "the gate lets the head lose."
    )

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for place, (model, changes) in zip(axes, panels.items(), strict=True):
            panel(place, theme, model, changes, judge.config.head_margin)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=2, frameon=False)

    inches = (4.6 * len(panels), 1.5 + ROW_INCHES * max(map(len, panels.values())))
    image = render(path.stem, paint, alt=caption, caption=caption, inches=inches)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(image.light)
    return caption


def _changes(judge: Judge, model: str, comparison: Comparison) -> Changes:
    found = {log: judge.paired(log, model, comparison.base, comparison.other) for log in judge.logs}
    return {log: judge.changes(paired, ("tail", "head")) for log, paired in found.items() if paired}


def panel(axes: Axes, theme: Theme, title: str, changes: Changes, margin: float) -> None:
    """One backbone."""
    axes.axvspan(-100 * margin, 0, color=theme.panel, zorder=0)
    axes.axvline(0, color=theme.muted, linewidth=0.8)
    for shift, (group, colour) in zip((-0.16, 0.16), (("tail", theme.tail), ("head", theme.head)), strict=True):
        for row, found in enumerate(changes.values()):
            share = found[group].share()
            axes.plot([100 * share.low, 100 * share.high], [row + shift] * 2, color=colour, linewidth=1.4)
            axes.plot([100 * share.mean], [row + shift], "o", color=colour, markersize=4.5, label=group if row == 0 else None)
    axes.set_yticks(range(len(changes)), list(changes))
    axes.set_ylim(len(changes) - 0.5, -0.5)  # the first log on top
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_title(title)
    axes.set_xlabel("change of NDCG@10, %")
