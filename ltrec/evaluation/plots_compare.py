"""Paired differences between two runs, group by group, with their intervals: a forest plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.figure import Figure

from ltrec.evaluation.plots import Image, Theme, render


@dataclass(frozen=True, slots=True)
class Difference:
    """A group's mean difference (this run minus the other) with its interval; `accent` is ``tail``, ``head`` or empty."""

    name: str
    users: int
    value: float
    low: float
    high: float
    accent: str = ""


def forest(name: str, metric: str, differences: Sequence[Difference], other: str) -> Image:
    """Differences from top to bottom as given; right of the zero line this run is better."""
    told = "; ".join(f"{d.name}: {d.value:+.4f} ({d.low:+.4f} to {d.high:+.4f}, {d.users:,} users)" for d in differences)
    return render(
        name,
        partial(_paint, metric=metric, differences=tuple(differences)),
        alt=f"Paired differences in {metric} against {other}. {told}.",
        caption="Every user is compared under both scorers; bars are 95 % bootstrap intervals. "
        "Right of the line this run is better.",
        inches=(5.6, 0.36 * len(differences) + 1.1),
    )


def _paint(figure: Figure, theme: Theme, *, metric: str, differences: tuple[Difference, ...]) -> None:
    axes = figure.add_subplot()
    axes.axvline(0, color=theme.ink, linewidth=1)
    for row, d in enumerate(reversed(differences)):
        colour = theme.accent(d.accent) if d.accent else theme.ink
        axes.plot([d.low, d.high], [row, row], color=colour, linewidth=2.2)
        axes.plot(d.value, row, "o", color=colour, markersize=7)
    axes.set_yticks(range(len(differences)), labels=[f"{d.name}  ({d.users:,})" for d in reversed(differences)])
    axes.set(title=f"Difference in {metric}", ylim=(-0.7, len(differences) - 0.3))
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(lambda x, _: "0" if abs(x) < 1e-12 else f"{x:+.3f}")
    axes.tick_params(axis="y", colors=theme.ink)
