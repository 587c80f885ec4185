"""A forest plot of the paired differences between two methods, by group, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ltrec.core.counting import counted
from ltrec.reporting.plots.style import Image, Theme, render, shortened


@dataclass(frozen=True, slots=True)
class ForestRow:
    """A group's mean difference (this method minus the other) with its interval; `accent` is ``tail``, ``head`` or empty."""

    name: str
    users: int
    value: float
    low: float
    high: float
    accent: str = ""
    key: str = ""


def forest(
    name: str, metric: str, differences: Sequence[ForestRow], *, mine: str, other: str, over: str = "users", allowed: float = 0.0
) -> Image:
    """A forest plot, from top to bottom in the given order; to the right of zero `mine` is better.

    Args:
        name: file name without extension.
        metric: its name.
        differences: one per group of users.
        mine: the scorer in question.
        other: the scorer it is compared with.
        over: what the intervals account for.
        allowed: loss that the head is allowed, drawn on its row; 0 = not drawn.
    """
    line = " The dashed line on the head's row is the allowed loss." if allowed else ""
    listed = "; ".join(f"{d.name}: {d.value:+.4f} ({d.low:+.4f} to {d.high:+.4f}, {counted(d.users, 'user')})" for d in differences)
    return render(
        name,
        partial(_paint, metric=metric, differences=tuple(differences), sides=(other, mine), allowed=allowed),
        alt=f"Paired differences in {metric} against {other}. {listed}.",
        caption=f"Every user under both scorers; bars are 95 % intervals over {over}.{line}",
        inches=(4.4, 0.31 * len(differences) + 1.0),
    )


def _paint(
    figure: Figure, theme: Theme, *, metric: str, differences: tuple[ForestRow, ...], sides: tuple[str, str], allowed: float
) -> None:
    axes = figure.add_subplot()
    axes.axvline(0, color=theme.ink, linewidth=1)
    for row, d in enumerate(reversed(differences)):
        colour = theme.accent(d.accent) if d.accent else theme.ink
        axes.plot([d.low, d.high], [row, row], color=colour, linewidth=2.2)
        axes.plot(d.value, row, "o", color=colour, markersize=7)
        if allowed and d.key == "head":
            axes.plot([-allowed, -allowed], [row - 0.42, row + 0.42], color=theme.ink, linewidth=1, linestyle=(0, (2, 1.5)))
    axes.set_yticks(range(len(differences)), labels=[f"{d.name}  ({d.users:,})" for d in reversed(differences)])
    axes.set(title=f"Difference in {metric}", ylim=(-0.7, len(differences) - 0.3))
    _name_sides(axes, theme, *sides)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda x, _: "0" if abs(x) < 1e-12 else f"{x:+.3g}".replace("-", "\N{MINUS SIGN}"))
    axes.tick_params(axis="y", colors=theme.ink)


def _name_sides(axes: Axes, theme: Theme, left: str, right: str) -> None:
    """Label the two ends of the axis with the scorer that is better there."""
    look: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "va": "top",
        "fontsize": 9,
        "color": theme.muted,
    }
    axes.annotate(f"\N{LEFTWARDS ARROW} {shortened(left, 14)} better", (0, 0), xytext=(0, -18), ha="left", **look)
    axes.annotate(f"{shortened(right, 14)} better \N{RIGHTWARDS ARROW}", (1, 0), xytext=(0, -18), ha="right", **look)
