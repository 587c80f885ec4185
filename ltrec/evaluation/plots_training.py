"""Training curves: the loss, overall and by stratum, and the validation metric of head and tail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType

from ltrec.evaluation.plots import Image, Theme, render

SMOOTH_POINTS = 60
"""A curve with more points than this is averaged over equal spans of it: single steps are noise."""


Label = tuple[float, str, ColorType]
"""Height, text and colour of the name at a line's end."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Logged values of one key, in the order of steps; arrays of equal length."""

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]


def averaged(curve: Curve, points: int = SMOOTH_POINTS) -> Curve:
    """Means over at most `points` spans of equal length; shorter curves as they are."""
    if len(curve.x) <= points:
        return curve
    spans_x, spans_y = (np.array_split(values, points) for values in (curve.x, curve.y))
    return Curve(np.array([s.mean() for s in spans_x]), np.array([s.mean() for s in spans_y]))


def loss_curves(overall: Curve, by_stratum: Mapping[int, Curve], names: Sequence[str], x_label: str) -> Image:
    """Training loss, overall in ink, strata from the tail's colour to the head's. `names`: strata, least active first."""
    ends = "; ".join(
        f"stratum of {names[i]} events {c.y[0]:.3f} to {c.y[-1]:.3f}" for i, c in sorted(by_stratum.items()) if len(c.y)
    )
    averages = len(overall.x) > SMOOTH_POINTS
    return render(
        "loss",
        partial(_paint_loss, overall=overall, by_stratum=dict(by_stratum), names=tuple(names), x_label=x_label),
        alt=f"Training loss over {x_label}s: overall from {overall.y[0]:.3f} to {overall.y[-1]:.3f}. {ends}".rstrip() + ".",
        caption="Mean loss per target, overall in ink and by stratum from tail to head."
        + (f" Each point averages {len(overall.x) / SMOOTH_POINTS:.0f} logged steps or so." if averages else ""),
        inches=(5.2, 3.5),
    )


def validation_curves(metric: str, overall: Curve, tail: Curve | None, head: Curve | None, x_label: str, asleep: int = 0) -> Image:
    """Validation metric during training: overall, tail and head, the best overall value marked.

    Args:
        metric: its name.
        overall, tail, head: its values.
        x_label: epoch or step.
        asleep: validations of a first stage, whose plugins sleep; the best is the second's, if it has come.
    """
    best = best_of(overall, asleep)
    ends = f" The dotted line marks the first stage's last validation, {x_label} {overall.x[asleep - 1]:g}." if asleep else ""
    what, kept = "overall value", "best.ckpt"
    if asleep:
        woke = asleep < len(overall.y)
        what, kept = (f"{what} with plugins", kept) if woke else (what, "stage1.ckpt, for plugins never woke")
    return render(
        "validation",
        partial(_paint_validation, metric=metric, overall=overall, tail=tail, head=head, x_label=x_label, asleep=asleep),
        alt=f"Validation {metric} over {x_label}s, overall, tail and head. Overall is best, {overall.y[best]:.4f}, "
        f"at {x_label} {overall.x[best]:g} and ends at {overall.y[-1]:.4f}.",
        caption=f"The ring marks the best {what}: that checkpoint is {kept}.{ends}",
        inches=(5.2, 3.5),
    )


def best_of(overall: Curve, asleep: int) -> int:
    """Index of the best value that counts: of the second stage, or of the first while there is no other."""
    first = asleep if asleep < len(overall.y) else 0
    return first + int(np.argmax(overall.y[first:]))


def _paint_loss(
    figure: Figure, theme: Theme, *, overall: Curve, by_stratum: dict[int, Curve], names: tuple[str, ...], x_label: str
) -> None:
    axes = figure.add_subplot()
    labels: list[Label] = []
    for index, colour in enumerate(theme.ramp(len(names))):
        if index in by_stratum and len(by_stratum[index].x):
            curve = averaged(by_stratum[index])
            axes.plot(curve.x, curve.y, color=colour, linewidth=1.1, **dots(curve))
            labels.append((float(curve.y[-1]), names[index], colour))
    curve = averaged(overall)
    axes.plot(curve.x, curve.y, color=theme.ink, linewidth=2, **dots(curve))
    labels.append((float(curve.y[-1]), "overall", theme.ink))
    axes.set(title="Training loss", xlabel=x_label)
    end_labels(axes, labels, float(curve.x[-1]))


def _paint_validation(
    figure: Figure,
    theme: Theme,
    *,
    metric: str,
    overall: Curve,
    tail: Curve | None,
    head: Curve | None,
    x_label: str,
    asleep: int,
) -> None:
    axes = figure.add_subplot()
    labels: list[Label] = []
    for name, part, colour, width in (
        ("tail", tail, theme.tail, 1.5),
        ("head", head, theme.head, 1.5),
        ("overall", overall, theme.ink, 2),
    ):
        if part is not None and len(part.x):
            axes.plot(part.x, part.y, color=colour, linewidth=width, **dots(part))
            labels.append((float(part.y[-1]), name, colour))
    if asleep:
        axes.axvline(overall.x[asleep - 1], color=theme.ink, linewidth=0.8, linestyle=":")
    best = best_of(overall, asleep)
    axes.plot(overall.x[best], overall.y[best], "o", markersize=10, markerfacecolor="none", color=theme.ink, markeredgewidth=1.2)
    axes.set(title=f"Validation {metric}", xlabel=x_label)
    axes.set_ylim(bottom=0)
    end_labels(axes, labels, float(overall.x[-1]))


def dots(curve: Curve) -> dict[str, Any]:
    """Few points are marked, so that one is seen and two do not look like many."""
    return {"marker": "o", "markersize": 2.5} if len(curve.x) < SMOOTH_POINTS / 2 else {}


def end_labels(axes: Axes, labels: list[Label], x: float) -> None:
    """Name each line at its end, pushed apart where they would overlap."""
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True, min_n_ticks=1))
    bottom, top = axes.get_ylim()
    gap = (top - bottom) * 0.062
    heights = spread([y for y, _, _ in labels], gap, floor=bottom + gap / 2)
    for height, (_, name, colour) in zip(heights, labels, strict=True):
        axes.annotate(
            name,
            (x, height),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=colour,
            annotation_clip=False,
        )


def spread(heights: Sequence[float], gap: float, floor: float) -> list[float]:
    """Heights moved so that neighbours in rank are at least `gap` apart and none is below `floor`.

    Neighbours that are too close form a cluster centred on its mean (so a label stays near its line); the floor then pushes up.
    """
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    clusters: list[list[float]] = []
    for i in order:
        clusters.append([heights[i]])
        while (
            len(clusters) > 1 and _centre(clusters[-1]) - _centre(clusters[-2]) < gap * (len(clusters[-1]) + len(clusters[-2])) / 2
        ):
            clusters[-2:] = [clusters[-2] + clusters[-1]]
    fitted = [_centre(c) + (rank - (len(c) - 1) / 2) * gap for c in clusters for rank in range(len(c))]
    placed = [0.0] * len(heights)
    for i, height in zip(order, fitted, strict=True):
        placed[i] = height = max(height, floor)
        floor = height + gap
    return placed


def _centre(cluster: Sequence[float]) -> float:
    return sum(cluster) / len(cluster)
