"""Training curves: the loss, overall and by stratum, and the validation metric of head and tail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType

from ltrec.core.counting import of_range
from ltrec.core.storage.run_folder import BEST, STAGE1
from ltrec.evaluation.curves import SMOOTH_POINTS, Curve, averaged
from ltrec.reporting.plots.style import INCHES, Image, Theme, render

Label = tuple[float, str, ColorType]
"""Height, text and colour of the label at the end of a line."""


@dataclass(frozen=True, slots=True)
class SeedCurve:
    """A seed's validation curve; its first `asleep` points are of stage 1, before the plugins wake."""

    overall: Curve
    asleep: int

    def best(self) -> int:
        """Index of the best value: of stage 2, or of stage 1 if there is no stage 2 yet."""
        first = self.asleep if self.asleep < len(self.overall.y) else 0
        return first + int(np.argmax(self.overall.y[first:]))


def band_text(curve: Curve) -> str:
    """How to read lines and bands, for a caption; empty for a single seed."""
    if curve.low is None:
        return ""
    return " Lines are means over the seeds that reached each point, bands range from the lowest to the highest seed."


def draw(axes: Axes, curve: Curve, colour: ColorType, width: float) -> None:
    """Draw the line, with its band if it has one."""
    if curve.low is not None and curve.high is not None:
        axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
    axes.plot(curve.x, curve.y, color=colour, linewidth=width, **dots(curve))


def loss_curves(overall: Curve, by_stratum: Mapping[int, Curve], names: Sequence[str], x_label: str) -> Image:
    """Training loss, overall in the text colour, strata from the tail's colour to the head's. `names`: strata, least active
    first."""
    ends = "; ".join(
        f"stratum of {of_range(names[i], 'event')} {c.y[0]:.3f} to {c.y[-1]:.3f}" for i, c in sorted(by_stratum.items()) if len(c.y)
    )
    averages = len(overall.x) > SMOOTH_POINTS
    return render(
        "loss",
        partial(_paint_loss, overall=overall, by_stratum=dict(by_stratum), names=tuple(names), x_label=x_label),
        alt=f"Training loss over {x_label}s: overall from {overall.y[0]:.3f} to {overall.y[-1]:.3f}. {ends}".rstrip() + ".",
        caption="Mean loss per target, overall in the text colour and by stratum from tail to head."
        + (f" Each point averages {len(overall.x) / SMOOTH_POINTS:.0f} logged steps or so." if averages else "")
        + band_text(overall),
        inches=INCHES,
    )


def validation_curves(
    metric: str, overall: Curve, tail: Curve | None, head: Curve | None, x_label: str, seeds: Sequence[SeedCurve] = ()
) -> Image:
    """Validation metric during training: overall, tail and head, with each seed's best overall value marked.

    Args:
        metric: its name.
        overall, tail, head: its values; means over seeds if there are several.
        x_label: epoch or step.
        seeds: the curve of each seed; none = `overall` is that of a single seed, without stages.
    """
    seeds = tuple(seeds) or (SeedCurve(overall, 0),)
    return render(
        "validation",
        partial(_paint_validation, metric=metric, overall=overall, tail=tail, head=head, x_label=x_label, seeds=seeds),
        alt=f"Validation {metric} over {x_label}s, overall, tail and head. {_bests_told(seeds, x_label)}.",
        caption=_ring_text(seeds) + _stage_text(seeds, x_label) + band_text(overall),
        inches=INCHES,
    )


def _bests_told(seeds: Sequence[SeedCurve], x_label: str) -> str:
    listed = [
        f"is best, {seed.overall.y[best]:.4f}, at {x_label} {seed.overall.x[best]:g} and ends at {seed.overall.y[-1]:.4f}"
        for seed in seeds
        for best in [seed.best()]
    ]
    return f"Overall {listed[0]}" if len(listed) == 1 else "; ".join(f"Seed {i} {words}" for i, words in enumerate(listed, 1))


def _ring_text(seeds: Sequence[SeedCurve]) -> str:
    staged, woke = any(seed.asleep for seed in seeds), all(seed.asleep < len(seed.overall.y) for seed in seeds)
    what = "overall value" + (" with plugins" if staged and woke else "")
    kept = BEST if woke else f"{STAGE1}, for plugins never woke" + ("" if len(seeds) == 1 else " in every seed")
    if len(seeds) == 1:
        return f"The ring marks the best {what}: that checkpoint is {kept}."
    return f"The rings mark each seed's best {what}: those checkpoints are {kept}."


def _stage_text(seeds: Sequence[SeedCurve], x_label: str) -> str:
    ends = _stage_ends(seeds)
    if not ends:
        return ""
    where = " and ".join(f"{end:g}" for end in ends)
    lines = "The dotted line marks" if len(ends) == 1 else "Dotted lines mark"
    return f" {lines} the first stage's last validation, {x_label} {where}."


def _stage_ends(seeds: Sequence[SeedCurve]) -> list[float]:
    return sorted({float(seed.overall.x[seed.asleep - 1]) for seed in seeds if seed.asleep})


def _paint_loss(
    figure: Figure, theme: Theme, *, overall: Curve, by_stratum: dict[int, Curve], names: tuple[str, ...], x_label: str
) -> None:
    axes = figure.add_subplot()
    labels: list[Label] = []
    for index, colour in enumerate(theme.ramp(len(names))):
        if index in by_stratum and len(by_stratum[index].x):
            curve = averaged(by_stratum[index])
            draw(axes, curve, colour, 1.1)
            labels.append((float(curve.y[-1]), names[index], colour))
    curve = averaged(overall)
    draw(axes, curve, theme.ink, 2)
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
    seeds: tuple[SeedCurve, ...],
) -> None:
    axes = figure.add_subplot()
    labels: list[Label] = []
    for name, part, colour, width in (
        ("tail", tail, theme.tail, 1.5),
        ("head", head, theme.head, 1.5),
        ("overall", overall, theme.ink, 2),
    ):
        if part is not None and len(part.x):
            draw(axes, part, colour, width)
            labels.append((float(part.y[-1]), name, colour))
    for end in _stage_ends(seeds):
        axes.axvline(end, color=theme.ink, linewidth=0.8, linestyle=":")
    for seed in seeds:
        best = seed.best()
        x, y = seed.overall.x[best], seed.overall.y[best]
        axes.plot(x, y, "o", markersize=10, markerfacecolor="none", color=theme.ink, markeredgewidth=1.2)
    axes.set(title=f"Validation {metric}", xlabel=x_label)
    axes.set_ylim(bottom=0)
    end_labels(axes, labels, float(overall.x[-1]))


def dots(curve: Curve) -> dict[str, Any]:
    """Mark points if there are few, so that a single one is visible."""
    return {"marker": "o", "markersize": 2.5} if len(curve.x) < SMOOTH_POINTS / 2 else {}


def end_labels(axes: Axes, labels: list[Label], x: float) -> None:
    """Label each line at its end; labels that would overlap are moved apart."""
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
    """Heights moved so that neighbours are at least `gap` apart and none is below `floor`.

    Neighbours that are too close form a cluster centred on its mean, so that labels stay near their lines; then `floor` is applied.
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
