"""The strata's gradients during training: cosines of all pairs (small multiples), norms and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ltrec.core.counting import of_range
from ltrec.evaluation.curves import Curve, averaged, last_tenth
from ltrec.reporting.plots.style import INCHES, Image, Theme, render, shortened
from ltrec.reporting.plots.training import Label, band_text, draw, end_labels

SMOOTH_SPANS = 24
"""Number of points of a smoothed cosine: panels are small, and the cosine of a single step is mostly noise."""
LINES: tuple[Literal["solid"] | tuple[float, tuple[float, ...]], ...] = (
    "solid",
    (0, (4, 1.6)),
    (0, (1, 1.4)),
    (0, (5, 1.4, 1, 1.4)),
)
"""One dash pattern per run, because colours mean tail and head."""
MINUS = "\N{MINUS SIGN}"
MAX_RUNS = len(LINES)

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Agreement:
    """The cosines of a method by pair of strata (y, z), y < z, and its share of pairs in conflict."""

    label: str
    cosines: Mapping[Pair, Curve]
    conflict: Curve


def cosine_panels(runs: Sequence[Agreement], names: Sequence[str], x_label: str) -> Image:
    """A triangle of small panels with shared axes, one per pair of strata, for at most `MAX_RUNS` runs; the first run in the text
    colour.

    Args:
        runs: the run in question first; each with at least one curve of at least one point.
        names: strata, least active first [K], K > 1.
        x_label: ``epoch`` or ``step``.
    """
    runs = tuple(runs[:MAX_RUNS])
    listed = "; ".join(
        f"{names[y]} and {names[z]} events: {last_tenth(runs[0].cosines[y, z]):+.3f}"
        for y, z in combinations(range(len(names)), 2)
        if _known(runs[0], (y, z))
    )
    others = f" Also drawn: {', '.join(r.label for r in runs[1:])}." if len(runs) > 1 else ""
    side = max(len(names) - 1, 1)
    return render(
        "cosines",
        partial(_paint_cosines, runs=runs, names=tuple(names), x_label=x_label),
        alt=f"Cosine between the gradients of two strata over {x_label}s, a panel per pair, of {runs[0].label}. "
        f"Over the last tenth of the curve: {listed}.{others}",
        caption="Each panel is a pair of strata (named by training events): above the line a step for one helps the other, "
        "in the shaded part below it harms. Thick: averaged over spans; the number is the mean of the last tenth. "
        + ("Shaded: from the lowest to the highest seed." if _seeds(runs[0]) else "Thin: as logged.")
        + others,
        inches=(min(max(5.2, 1.62 * side + 0.9), 11.0), min(max(2.9, 1.18 * side + 0.95), 8.6)),
    )


def weight_curves(by_stratum: Mapping[int, Curve], names: Sequence[str], x_label: str) -> Image:
    """Weight of each stratum's mean gradient in the update."""
    return _curves("weights", "Weight in the update", by_stratum, names, x_label, "Weights of the strata's mean gradients.")


def norm_curves(by_stratum: Mapping[int, Curve], names: Sequence[str], x_label: str) -> Image:
    """Norm of each stratum's mean gradient."""
    note = "Norms of the strata's mean gradients over the trunk. A mean over few examples is noisy, and noise increases the norm."
    return _curves("gradient-norms", "Gradient norm", by_stratum, names, x_label, note)


def _curves(name: str, title: str, by_stratum: Mapping[int, Curve], names: Sequence[str], x_label: str, caption: str) -> Image:
    listed = "; ".join(f"{of_range(names[z], 'event')} {c.y[0]:.3g} to {c.y[-1]:.3g}" for z, c in sorted(by_stratum.items()))
    return render(
        name,
        partial(_paint_strata, title=title, by_stratum=dict(by_stratum), names=tuple(names), x_label=x_label),
        alt=f"{title} by stratum over {x_label}s. {listed}.",
        caption=caption + band_text(next(iter(by_stratum.values()))),
        inches=INCHES,
    )


def _paint_strata(
    figure: Figure, theme: Theme, *, title: str, by_stratum: dict[int, Curve], names: tuple[str, ...], x_label: str
) -> None:
    axes = figure.add_subplot()
    labels: list[Label] = []
    for z, colour in enumerate(theme.ramp(len(names))):
        if z in by_stratum:
            curve = averaged(by_stratum[z])
            draw(axes, curve, colour, 1.5)
            labels.append((float(curve.y[-1]), names[z], colour))
    axes.set(title=title, xlabel=x_label)
    axes.set_ylim(bottom=min(0.0, *(float(c.y.min()) for c in by_stratum.values())))
    end_labels(axes, labels, max(float(c.x[-1]) for c in by_stratum.values()))


def _paint_cosines(figure: Figure, theme: Theme, *, runs: tuple[Agreement, ...], names: tuple[str, ...], x_label: str) -> None:
    side = len(names) - 1
    grid = figure.add_gridspec(side, side)
    colours = theme.ramp(len(names))
    limits = reach(runs)
    first: Axes | None = None
    for row, column in ((z - 1, y) for y, z in combinations(range(len(names)), 2)):
        axes = figure.add_subplot(grid[row, column], sharex=first, sharey=first)
        first = first or axes
        _paint_pair(axes, theme, runs, (column, row + 1), limits)
        axes.tick_params(labelsize=7.5, labelbottom=row == side - 1, labelleft=column == 0)
        if row == column:
            axes.set_title(names[column], color=colours[column], loc="center", fontsize=9, fontweight="bold", pad=5)
        if column == 0:
            axes.set_ylabel(names[row + 1], color=colours[row + 1], fontsize=9, fontweight="bold")
        if row == side - 1 and column == 0:
            axes.set_xlabel(x_label, fontsize=8)
    assert first is not None
    first.set_ylim(limits)
    first.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    first.yaxis.set_major_formatter(lambda y, _: signed(y, 1).replace("0.0", "0"))
    first.xaxis.set_major_locator(MaxNLocator(3, integer=True, min_n_ticks=1))
    if side > 1:
        high, wide = min(side // 2, 3), min(side - side // 2, 4)
        _paint_conflict(figure.add_subplot(grid[:high, side - wide :]), theme, runs)
    figure.suptitle("Cosine between the strata's gradients", x=0.012, ha="left", fontsize=10.5)
    _name_runs(figure, theme, runs, columns=2 if side > 3 else 1)


def _paint_pair(axes: Axes, theme: Theme, runs: tuple[Agreement, ...], pair: Pair, limits: tuple[float, float]) -> None:
    """One panel: conflict shaded, the first run raw and smoothed, the others smoothed."""
    axes.axhspan(limits[0], 0, color=theme.panel, linewidth=0, zorder=0)
    axes.axhline(0, color=theme.muted, linewidth=0.8, zorder=2)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
    for order, run in enumerate(runs):
        if _known(run, pair):
            _paint_curve(axes, theme, order, run.cosines[pair])
    if _known(runs[0], pair):
        listed = signed(last_tenth(runs[0].cosines[pair]), 2 if max(map(abs, limits)) > 0.3 else 3)
        weight = "bold" if listed.startswith(MINUS) else "normal"
        axes.text(0.97, 0.95, listed, transform=axes.transAxes, ha="right", va="top", fontsize=8, fontweight=weight, zorder=5)


def _paint_conflict(room: Axes, theme: Theme, runs: tuple[Agreement, ...]) -> None:
    """Share of pairs in conflict, in the empty half of the square, well inside `room` so that the grid of panels is unchanged."""
    room.set_axis_off()
    axes = room.inset_axes((0.14, 0.14, 0.86, 0.72))
    for order, run in enumerate(runs):
        if len(run.conflict.x):
            _paint_curve(axes, theme, order, run.conflict, shade=False)
    axes.set_title("Pairs in conflict", loc="left", fontsize=9, color=theme.muted)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axes.tick_params(labelsize=7.5)


def _paint_curve(axes: Axes, theme: Theme, order: int, raw: Curve, *, shade: bool = True) -> None:
    """The run in question raw, smoothed and, below zero, filled; other runs smoothed only."""
    smooth = averaged(raw, SMOOTH_SPANS)
    colour, width = (theme.muted, 1.2) if order else (theme.ink, 1.7)
    if order == 0 and smooth.low is not None and smooth.high is not None:
        axes.fill_between(smooth.x, smooth.low, smooth.high, color=theme.hairline, alpha=0.6, linewidth=0, zorder=1)
    elif order == 0 and smooth is not raw:
        axes.plot(raw.x, raw.y, color=theme.hairline, linewidth=0.6, zorder=1)
    if order == 0 and shade:
        axes.fill_between(smooth.x, smooth.y, 0, where=smooth.y < 0, interpolate=True, color=theme.ink, alpha=0.25, linewidth=0)
    mark: dict[str, Any] = {"marker": "o", "markersize": 4.0} if len(smooth.x) == 1 else {}
    axes.plot(smooth.x, smooth.y, color=colour, linewidth=width, linestyle=LINES[order], zorder=3 + order / 8, **mark)


def _name_runs(figure: Figure, theme: Theme, runs: tuple[Agreement, ...], columns: int) -> None:
    """A legend next to the title, if there is more than one run."""
    if len(runs) == 1:
        return
    lines = [
        Line2D([], [], color=theme.muted if order else theme.ink, linestyle=LINES[order], linewidth=1.2 if order else 1.7)
        for order in range(len(runs))
    ]
    labels = [shortened(run.label) for run in runs]
    figure.legend(lines, labels, frameon=False, fontsize=8, handlelength=2.6, ncols=columns, loc="outside upper right")


def signed(value: float, decimals: int) -> str:
    """A number with its sign, the minus as wide as the plus; no sign if it rounds to 0."""
    text = f"{value:+.{decimals}f}".replace("-", MINUS)
    return text[1:] if float(f"{value:.{decimals}f}") == 0 else text


def reach(runs: Sequence[Agreement]) -> tuple[float, float]:
    """Limits of the shared axis: 96 % of the logged values, all smoothed values, and both sides of zero, within -1 and 1."""
    curves = [curve for run in runs for curve in run.cosines.values() if len(curve.y)]
    logged = np.quantile(np.concatenate([curve.y for curve in curves]), [0.02, 0.98])
    smooth = np.concatenate([averaged(curve, SMOOTH_SPANS).y for curve in curves])
    low, high = min(-0.1, logged[0], smooth.min()), max(0.1, logged[1], smooth.max())
    room = 0.12 * (high - low)
    return max(-1.04, low - room), min(1.04, high + room)


def _seeds(run: Agreement) -> bool:
    """Whether it has several seeds."""
    return any(curve.low is not None for curve in run.cosines.values())


def _known(run: Agreement, pair: Pair) -> bool:
    return pair in run.cosines and len(run.cosines[pair].y) > 0
