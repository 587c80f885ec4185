"""The user stratum x item popularity grid as an annotated heat map: where in the long tail a model works."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ltrec.core.counting import counted, of_range
from ltrec.reporting.plots.style import Image, Theme, render

FEW_USERS = 30
"""The mean over fewer users says little, so such a cell has no colour."""


def popularity_grid(
    metric: str,
    row_names: Sequence[str],
    column_names: Sequence[str],
    value_KP: npt.NDArray[np.float64],
    users_KP: npt.NDArray[np.int64],
) -> Image:
    """Heat map; rows are user strata (most active on top), columns popularity classes of the target (rarest first).

    Args:
        metric: its name.
        row_names: strata, least active first [K].
        column_names: popularity classes, rarest first [P]; a second line says whether its items are new, tail or head.
        value_KP: mean of the metric; ignored without users.
        users_KP: users per cell.
    """
    classes = [column.replace("\n", ", ") for column in column_names]
    listed = "; ".join(
        f"{of_range(row, 'event')}, target {column}: {value_KP[k, p]:.3f} of {counted(int(users_KP[k, p]), 'user')}"
        for k, row in reversed(list(enumerate(row_names)))
        for p, column in enumerate(classes)
        if users_KP[k, p]
    )
    return render(
        "grid",
        partial(
            _paint_grid,
            metric=metric,
            rows=tuple(row_names),
            columns=tuple(column_names),
            value_KP=np.asarray(value_KP),
            users_KP=users_KP,
        ),
        alt=f"{metric} by user stratum and popularity of the target item. {listed}.",
        caption=f"Mean {metric} in each cell, users below it. Cells with fewer than {FEW_USERS} users have no colour.",
        inches=(4.6, 0.58 * len(row_names) + 1.2),
    )


def _paint_grid(
    figure: Figure,
    theme: Theme,
    *,
    metric: str,
    rows: tuple[str, ...],
    columns: tuple[str, ...],
    value_KP: npt.NDArray[np.float64],
    users_KP: npt.NDArray[np.int64],
) -> None:
    axes = figure.add_subplot()
    enough = users_KP >= FEW_USERS
    top = float(value_KP[enough].max()) if enough.any() else 0.0
    heat = theme.heat_map()
    for k in range(len(rows)):
        for p in range(len(columns)):
            tone = to_rgb(heat(value_KP[k, p] / top)) if enough[k, p] and top > 0 else to_rgb(theme.paper)
            axes.add_patch(Rectangle((p + 0.02, k + 0.03), 0.96, 0.94, facecolor=tone, edgecolor=theme.hairline, linewidth=0.6))
            ink = readable(tone) if enough[k, p] else theme.muted
            if users_KP[k, p]:
                axes.text(p + 0.5, k + 0.58, f"{value_KP[k, p]:.3f}", ha="center", va="center", color=ink, fontsize=10)
                axes.text(p + 0.5, k + 0.27, f"{users_KP[k, p]:,}", ha="center", va="center", color=ink, fontsize=7)
    axes.set(
        xlim=(0, len(columns)), ylim=(0, len(rows)), title=f"{metric} by user and item", xlabel="training events of the target item"
    )
    axes.set_ylabel("training events of the user")
    axes.set_xticks(np.arange(len(columns)) + 0.5, labels=columns)
    axes.set_yticks(np.arange(len(rows)) + 0.5, labels=rows)
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)


def readable(tone: tuple[float, float, float]) -> str:
    """Black or white, whichever has more contrast with the tone: at least 4.5 (WCAG AA), since black on white has 21."""
    return max(("#000000", "#ffffff"), key=lambda colour: contrast(to_rgb(colour), tone))


def contrast(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    """WCAG 2 contrast ratio of two sRGB colours, 1 to 21."""
    light, dark = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(rgb: tuple[float, float, float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
