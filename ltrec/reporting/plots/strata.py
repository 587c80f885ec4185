"""Figures along the activity axis: who the users are, and how well each stratum is served."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from ltrec.core.counting import counted, of_range
from ltrec.core.strata import Strata
from ltrec.reporting.plots.style import INCHES, Image, Theme, render, shortened

MAX_BINS = 28
LABEL_ROOM = 0.1
"""Width of a stratum's label as a share of the axis."""
MARKERS = ("s", "^", "D", "v", "P", "X")
"""One marker per baseline, so that series differ in shape as well as in grey."""


@dataclass(frozen=True, slots=True)
class Series:
    """One scorer's metric by stratum; a stratum without users is NaN. Arrays [K]."""

    label: str
    value_K: npt.NDArray[np.float64]
    low_K: npt.NDArray[np.float64]
    high_K: npt.NDArray[np.float64]


def positions(strata: Strata) -> tuple[str, ...]:
    """Which side of the head cut each stratum is on: ``tail``, ``head``, or ``both`` if the cut divides it."""
    ends = [*strata.lower_bounds[1:], None]
    return tuple(
        "head" if low >= strata.head_from else ("tail" if end is not None and end <= strata.head_from else "both")
        for low, end in zip(strata.lower_bounds, ends, strict=True)
    )


def activity_edges(activity: npt.NDArray[np.int64], strata: Strata) -> npt.NDArray[np.int64]:
    """Integer bin edges, about even on a log axis; stratum bounds and the head cut are edges, so that no bar contains both
    sides."""
    low, high = int(activity.min()), int(activity.max()) + 1
    grid = np.rint(np.geomspace(low, high, MAX_BINS + 1)).astype(np.int64)
    cuts = np.array([b for b in (*strata.lower_bounds, strata.head_from) if low < b < high], dtype=np.int64)
    # An edge closer to a cut than a third of a bin would leave a narrow bar, so the cut replaces it.
    third = (np.log(high) - np.log(low)) / MAX_BINS / 3
    near = (np.abs(np.log(grid)[:, None] - np.log(cuts)[None, :]) < third).any(axis=1)
    near[[0, -1]] = False
    return np.unique(np.concatenate([grid[~near], cuts]))


def activity_histogram(activity: npt.NDArray[np.int64], strata: Strata) -> Image:
    """Users by number of training events (log axis); area represents users. `activity` has a positive entry per user."""
    counts_K = np.bincount(strata.of(activity).clip(0), minlength=strata.count)
    head = int((activity >= strata.head_from).sum())
    parts = ", ".join(
        f"{of_range(name, 'event')} {counted(int(n), 'user')}" for name, n in zip(strata.names(), counts_K, strict=True)
    )
    return render(
        "activity",
        partial(_paint_activity, activity=activity, strata=strata),
        alt=f"Histogram of {counted(len(activity), 'user')} by number of training events. Users per stratum: {parts}. "
        f"The head begins at {counted(strata.head_from, 'event')} and holds {counted(head, 'user')} ({head / len(activity):.0%}).",
        caption="Area represents users: the axis of events is logarithmic, so height is users per doubling of events. "
        "Dotted lines separate the strata, the solid line is the head cut.",
        inches=INCHES,
    )


def metric_by_stratum(
    metric: str, strata: Strata, users_K: Sequence[int], model: Series, baselines: Sequence[Series], over: str = "users"
) -> Image:
    """The model's metric by stratum with 95 % intervals that account for `over`, and baselines in grey."""
    listed = "; ".join(
        f"{of_range(name, 'event')}: {value:.4f} ({low:.4f} to {high:.4f})"
        for name, value, low, high in zip(strata.names(), model.value_K, model.low_K, model.high_K, strict=True)
        if np.isfinite(value)
    )
    greys = f" Grey: {', '.join(s.label for s in baselines)}." if baselines else ""
    return render(
        "by-stratum",
        partial(_paint_strata, metric=metric, strata=strata, users_K=tuple(users_K), model=model, baselines=tuple(baselines)),
        alt=f"{metric} of {model.label} by stratum, with 95 % intervals. {listed}.{greys}",
        caption=f"Points are means over the users of a stratum, bars 95 % intervals over {over}." + greys,
        inches=INCHES,
    )


def _paint_activity(figure: Figure, theme: Theme, *, activity: npt.NDArray[np.int64], strata: Strata) -> None:
    axes = figure.add_subplot()
    edges = activity_edges(activity, strata)
    users, _ = np.histogram(activity, bins=edges)
    heights = users / np.diff(np.log2(edges))
    colours = [theme.head if low >= strata.head_from else theme.tail for low in edges[:-1]]
    axes.bar(edges[:-1], heights, width=np.diff(edges), align="edge", color=colours, edgecolor=theme.paper, linewidth=0.7)
    axes.set(xscale="log", xlim=(edges[0], edges[-1]), xlabel="training events per user", title="Users by activity")
    top = float(heights.max())
    axes.set_ylabel("users per doubling")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}")
    _log_ticks(axes, int(edges[0]), int(edges[-1]))
    ceiling = _mark_strata(axes, theme, activity, strata, top)
    axes.set_ylim(0, ceiling + top * 0.18)
    _mark_head(axes, theme, strata.head_from, ceiling + top * 0.15, int(edges[0]), int(edges[-1]))


def _mark_strata(axes: Axes, theme: Theme, activity: npt.NDArray[np.int64], strata: Strata, top: float) -> float:
    """Dotted lines between strata and a label above each, on as many levels as needed; returns the height reached."""
    low, high = int(activity.min()), int(activity.max()) + 1
    ends = [*strata.lower_bounds[1:], high]
    spans = [(k, max(start, low), min(end, high)) for k, (start, end) in enumerate(zip(strata.lower_bounds, ends, strict=True))]
    spans = [span for span in spans if span[1] < span[2]]
    rows = levels([np.log(left * right) / 2 / np.log(high / low) for _, left, right in spans], LABEL_ROOM)
    ceiling = top * (1.18 + 0.16 * max(rows))
    member = strata.of(activity)
    for (k, left, right), row in zip(spans, rows, strict=True):
        if left > low and left != strata.head_from:
            axes.plot([left, left], [0, ceiling], color=theme.muted, linewidth=0.8, linestyle=(0, (1, 2)))
        label = f"{strata.names()[k]}\n{(member == k).mean():.0%}"
        height = ceiling - 0.16 * top * row
        axes.text((left * right) ** 0.5, height, label, ha="center", va="top", fontsize=7.5, color=theme.muted, zorder=3)
    return ceiling


def levels(places: Sequence[float], room: float) -> list[int]:
    """For labels at ascending positions, the lowest level on which each is at least `room` away from the label before it."""
    last: list[float] = []
    chosen = []
    for place in places:
        level = next((i for i, before in enumerate(last) if place - before >= room), len(last))
        last[level : level + 1] = [place]
        chosen.append(level)
    return chosen


def _mark_head(axes: Axes, theme: Theme, head_from: int, height: float, low: int, high: int) -> None:
    if not low < head_from < high:
        return
    axes.plot([head_from, head_from], [0, height], color=theme.ink, linewidth=1.1)
    axes.text(head_from, height, "tail  ", ha="right", va="top", color=theme.tail, fontweight="bold")
    axes.text(head_from, height, "  head", ha="left", va="top", color=theme.head, fontweight="bold")


def _log_ticks(axes: Axes, low: int, high: int) -> None:
    ticks = [m * 10**e for e in range(9) for m in (1, 2, 5) if low <= m * 10**e <= high]
    axes.set_xticks(ticks, labels=[f"{t:,}" for t in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())


def _paint_strata(
    figure: Figure,
    theme: Theme,
    *,
    metric: str,
    strata: Strata,
    users_K: tuple[int, ...],
    model: Series,
    baselines: tuple[Series, ...],
) -> None:
    axes = figure.add_subplot()
    where_K = np.arange(strata.count, dtype=np.float64)
    for order, series in enumerate(baselines):
        shift = 0.16 * (order + 1)
        _points(
            axes, series, where_K + shift, [theme.muted] * strata.count, MARKERS[order % len(MARKERS)], hollow=True, theme=theme
        )
    _points(axes, model, where_K, [theme.accent(p) for p in positions(strata)], "o", hollow=False, theme=theme)
    axes.set_xticks(
        where_K + 0.08 * len(baselines),
        labels=[f"{name}\n{n:,}" for name, n in zip(strata.names(), users_K, strict=True)],
        fontsize=8,
    )
    axes.set(title=f"{metric} by stratum", xlabel="training events per user; users evaluated", xlim=(-0.5, strata.count - 0.2))
    axes.set_ylim(bottom=0)
    _legend(axes, theme, model, baselines)


def _points(
    axes: Axes, series: Series, where_K: npt.NDArray[np.float64], colours: list[str], marker: str, *, hollow: bool, theme: Theme
) -> None:
    for x, value, low, high, colour in zip(where_K, series.value_K, series.low_K, series.high_K, colours, strict=True):
        if not np.isfinite(value):
            continue
        axes.plot([x, x], [low, high], color=colour, linewidth=1.0 if hollow else 2.2, clip_on=False)
        face = theme.paper if hollow else colour
        axes.plot(x, value, marker=marker, markersize=4.5 if hollow else 7, color=colour, markerfacecolor=face, markeredgewidth=1.0)


def _legend(axes: Axes, theme: Theme, model: Series, baselines: tuple[Series, ...]) -> None:
    handles = [axes.plot([], [], "o", color=theme.ink, markersize=6, label=shortened(model.label))[0]]
    for order, series in enumerate(baselines):
        handles += axes.plot(
            [],
            [],
            MARKERS[order % len(MARKERS)],
            color=theme.muted,
            markerfacecolor=theme.paper,
            markersize=4.5,
            label=shortened(series.label),
        )
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 0.99),
        ncols=2,
        frameon=False,
        fontsize=8,
        handletextpad=0.2,
        columnspacing=1.2,
    )
    axes.set_title(axes.get_title("left"), pad=8 + 13 * -(-len(handles) // 2))
