"""The figure of a protocol: what every method changes for some groups of users, with intervals, in per cent of the base.

The shaded band is what the gate lets the head lose. The tail is asked to lie to the right of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.ledger import Line
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from methods_summary import newest_summaries
from methods_tables import GATED, Protocol

from ltrec.core.storage.atomic import atomic_path
from ltrec.evaluation.config import EvaluationConfig
from ltrec.reporting.plots.style import Theme, render

ROW_INCHES = 0.36


def write_figure(path: Path, protocol: Protocol, found: Mapping[str, Sequence[Line]]) -> bool:
    """Draw what is finished of the data sets' lines; False, and no file, when nothing is."""
    panels = {data: lines for data, every in found.items() if (lines := latest(protocol, every))}
    if not panels:
        return False

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots(1, len(panels), sharey=False, squeeze=False)[0]
        for place, (data, lines) in zip(axes, panels.items(), strict=True):
            panel(place, theme, data, lines, protocol)
        axes[0].legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2, frameon=False)

    rows = max(map(len, panels.values()))
    inches = (4.6 * len(panels), 1.5 + ROW_INCHES * rows)
    image = render(path.stem, paint, alt="", caption="", inches=inches)
    with atomic_path(path) as temporary:
        temporary.write_bytes(image.light)
    return True


def latest(protocol: Protocol, lines: Sequence[Line]) -> list[Line]:
    """The newest summary of every method but the base, in the order of the table."""
    found = newest_summaries(lines)
    return [found[method] for method in protocol.methods[1:] if method in found]


def panel(axes: Axes, theme: Theme, data: str, lines: Sequence[Line], protocol: Protocol) -> None:
    """One data set."""
    margin = EvaluationConfig().head_margin
    axes.axvspan(-100 * margin, 0, color=theme.panel, zorder=0)
    axes.axvline(0, color=theme.muted, linewidth=0.8)
    colours = {"tail": theme.tail, "head": theme.head, "existing": theme.ink, "new": theme.heat}
    for number, group in enumerate(protocol.drawn):
        shift, colour = 0.32 * (number - (len(protocol.drawn) - 1) / 2), colours[group]
        for row, line in enumerate(lines):
            figures = line["groups"][group][GATED]
            middle, low, high = figures["change"]
            share = 100 / (figures["mean"][0] - middle)  # the base's mean
            axes.plot([low * share, high * share], [row + shift] * 2, color=colour, linewidth=1.4)
            axes.plot([middle * share], [row + shift], "o", color=colour, markersize=4.5, label=group if row == 0 else None)
    axes.set_yticks(range(len(lines)), [line["method"] for line in lines])
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_title(data)
    axes.set_xlabel(f"change of {GATED.upper()} against {protocol.methods[0]}, %")
