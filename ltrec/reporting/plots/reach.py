"""Distances of targets from histories by stratum, and the metric at each distance: two figures side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure

from ltrec.core.counting import of_range
from ltrec.data.reach import BEYOND, KNOWN, ONE_LINK, REPEAT, TWO_LINKS
from ltrec.reporting.plots.strata import Series
from ltrec.reporting.plots.style import INCHES, Image, Theme, render, shortened

NAMES = {REPEAT: "in the history", ONE_LINK: "one link", TWO_LINKS: "two links", BEYOND: "beyond"}
MARKERS = {REPEAT: "s", ONE_LINK: "o", TWO_LINKS: "D", BEYOND: "v"}
LEAST_LABEL = 0.07
"""Smallest share that has room for its number."""
HIGHEST = 2.5
"""End of the axis, in multiples of the highest point."""


def reach_shares(strata: Sequence[str], users_KD: npt.NDArray[np.int64]) -> Image:
    """Share of targets at each distance from the history, a bar per stratum with users."""
    share_KD = users_KD / np.maximum(users_KD.sum(axis=1, keepdims=True), 1)
    drawn = [distance for distance in KNOWN if users_KD[:, distance].any()]
    listed = "; ".join(
        f"{of_range(name, 'event')}: {', '.join(f'{share_D[d]:.0%} {NAMES[d]}' for d in drawn)}"
        for name, share_D, users_D in zip(strata, share_KD, users_KD, strict=True)
        if users_D.any()
    )
    return render(
        "reach",
        partial(_paint_shares, strata=tuple(strata), users_KD=users_KD, share_KD=share_KD, drawn=drawn),
        alt=f"Share of targets by distance from the history, by stratum. {listed}.",
        caption="One link: some user consumed the target directly before or after an item of the history, in training. Two links: "
        "an item between them is linked with both.",
        inches=INCHES,
    )


def metric_given_reach(
    metric: str, strata: Sequence[str], model: dict[int, Series], base: dict[int, Series], over: str = "users"
) -> Image:
    """The metric at each distance, by stratum, for the model and (hollow) for what it is compared with."""
    drawn = [distance for distance, series in model.items() if np.isfinite(series.value_K).any()]
    listed = "; ".join(
        f"{series.label}, {NAMES[d]}: " + ", ".join(f"{v:.4f} ({low:.4f} to {high:.4f})" for v, low, high in _known(series))
        for scorer in (model, base)
        for d, series in scorer.items()
        if d in drawn
    )
    hollow = f" Hollow: {next(iter(base.values())).label}." if base else ""
    every = [*model.values(), *base.values()]
    cut = " Those beyond the axis are in the table." if any((s.high_K > _ceiling(every)).any() for s in every) else ""
    return render(
        "reach-given",
        partial(_paint_given, metric=metric, strata=tuple(strata), model=model, base=base, drawn=drawn),
        alt=f"{metric} by distance of the target from the history, strata from the least active. {listed}.",
        caption=f"Users of a stratum by distance; bars are 95 % intervals over {over}.{cut}{hollow}",
        inches=INCHES,
    )


def _known(series: Series) -> list[tuple[float, float, float]]:
    rows = zip(series.value_K, series.low_K, series.high_K, strict=True)
    return [(float(value), float(low), float(high)) for value, low, high in rows if np.isfinite(value)]


def _colours(theme: Theme) -> dict[int, str]:
    """One hue that fades with distance; repeats have the text colour."""
    fading = LinearSegmentedColormap.from_list("reach", [theme.heat, theme.panel])
    return {REPEAT: theme.ink, ONE_LINK: theme.heat, TWO_LINKS: to_hex(fading(0.5)), BEYOND: theme.hairline}


def _paint_shares(
    figure: Figure,
    theme: Theme,
    *,
    strata: tuple[str, ...],
    users_KD: npt.NDArray[np.int64],
    share_KD: npt.NDArray[np.float64],
    drawn: list[int],
) -> None:
    axes, where_K = figure.add_subplot(), np.arange(len(strata))
    colours, floor_K = _colours(theme), np.zeros(len(strata))
    for distance in drawn:
        share_K = share_KD[:, distance]
        axes.bar(where_K, share_K, 0.74, bottom=floor_K, color=colours[distance], label=NAMES[distance], edgecolor=theme.paper)
        ink = theme.paper if distance in (REPEAT, ONE_LINK) else theme.ink
        for x, share, floor in zip(where_K, share_K, floor_K, strict=True):
            if share >= LEAST_LABEL:
                axes.text(float(x), floor + share / 2, f"{share:.0%}", ha="center", va="center", fontsize=8, color=ink)
        floor_K = floor_K + share_K
    labels = [f"{name}\n{users:,}" for name, users in zip(strata, users_KD.sum(axis=1), strict=True)]
    axes.set_xticks(where_K, labels=labels, fontsize=8)
    axes.set(ylim=(0, 1), xlabel="training events per user; users evaluated", title="Targets by distance from the history")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    axes.grid(visible=False)
    _legend(axes, len(drawn))


def _paint_given(
    figure: Figure,
    theme: Theme,
    *,
    metric: str,
    strata: tuple[str, ...],
    model: dict[int, Series],
    base: dict[int, Series],
    drawn: list[int],
) -> None:
    axes, where_K, colours = figure.add_subplot(), np.arange(len(strata), dtype=np.float64), _points_colours(theme)
    width = 0.8 / (len(drawn) * (2 if base else 1))
    for order, distance in enumerate(drawn):
        for hollow, scorer in enumerate((model, base) if base else (model,)):
            shift = (order * (2 if base else 1) + hollow + 0.5) * width - 0.4
            _points(axes, scorer[distance], where_K + shift, colours[distance], MARKERS[distance], theme if hollow else None)
        axes.plot([], [], MARKERS[distance], color=colours[distance], markersize=5, label=NAMES[distance])
    if base:
        name = shortened(next(iter(base.values())).label)
        axes.plot([], [], "o", color=theme.muted, markerfacecolor=theme.paper, markersize=5, label=f"hollow: {name}")
    axes.set_xticks(where_K, labels=strata, fontsize=8)
    axes.set(xlim=(-0.5, len(strata) - 0.5), xlabel="training events per user", title=f"{metric} given the distance")
    axes.set_ylim(0, _ceiling([*model.values(), *base.values()]))
    _legend(axes, len(drawn) + bool(base))


def _ceiling(series: Sequence[Series]) -> float:
    """Upper limit of the axis: above all intervals, but not so high that wide intervals of few users or seeds flatten the
    points."""
    values, highs = (np.concatenate([getattr(one, end) for one in series]) for end in ("value_K", "high_K"))
    top = min(float(np.nanmax(highs)), HIGHEST * float(np.nanmax(values)))
    return 1.05 * top if top > 0 else 1.0


def _points_colours(theme: Theme) -> dict[int, str]:
    """The colours of the bars, but with far distances dark enough for points."""
    return {**_colours(theme), TWO_LINKS: theme.muted, BEYOND: theme.ink, REPEAT: theme.ink}


def _points(axes: Axes, series: Series, where_K: npt.NDArray[np.float64], colour: str, marker: str, hollow: Theme | None) -> None:
    for x, value, low, high in zip(where_K, series.value_K, series.low_K, series.high_K, strict=True):
        if np.isfinite(value):
            axes.plot([x, x], [low, high], color=colour, linewidth=1.0 if hollow else 1.8)
            face = hollow.paper if hollow else colour
            axes.plot(x, value, marker=marker, markersize=4.5, color=colour, markerfacecolor=face, clip_on=False)


def _legend(axes: Axes, entries: int) -> None:
    columns = 4 if entries < 5 else 3
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 0.99),
        ncols=columns,
        frameon=False,
        fontsize=8,
        handletextpad=0.3,
        columnspacing=1.0,
        handlelength=1.1,
    )
    axes.set_title(axes.get_title("left"), pad=8 + 13 * -(-entries // columns))
