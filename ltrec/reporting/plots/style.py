"""The style of every figure: background, text colour, one accent for the tail and one for the head, in a light and a dark theme.

A figure is a painter, a function of an empty Matplotlib `Figure` and a `Theme`; `render` runs it once per theme and returns PNG
bytes. No global state is changed (no pyplot, settings only inside `rc_context`), and the same painter and values give the same
bytes.

The two accents are a blue and an orange, which colour-blind readers can distinguish. They only mean head and tail; everything else
(overall, baselines, heat maps) has the text colour, a grey or green.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

DPI = 200
INCHES = (4.4, 3.2)
"""Size of a figure that shares a row: small enough for its text to be readable on a phone."""
FONTS = ("Inter", "Helvetica Neue", "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans")
"""The first installed one is used; the last one comes with Matplotlib."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a theme, as hex strings. The style sheet of the page uses the same values."""

    paper: str
    panel: str
    ink: str
    muted: str
    hairline: str
    head: str
    tail: str
    heat: str

    def accent(self, position: str) -> str:
        """Colour of a stratum: ``tail``, ``head``, or ``both`` if the head cut divides it."""
        return {"tail": self.tail, "head": self.head, "both": self.muted}[position]

    def ramp(self, count: int) -> list[tuple[float, float, float]]:
        """Colours from tail to head through a muted middle, one per stratum."""
        blend = LinearSegmentedColormap.from_list("tail-head", [self.tail, self.muted, self.head])
        return [to_rgb(blend(i / max(count - 1, 1))) for i in range(count)]

    def heat_map(self) -> LinearSegmentedColormap:
        """Sequential colour map of one hue, from nearly the background to the full tone."""
        return LinearSegmentedColormap.from_list("heat", [self.panel, self.heat])


LIGHT = Theme(
    paper="#fcfbf8",
    panel="#f3f1ea",
    ink="#1f2529",
    muted="#676d72",
    hairline="#dcd8ce",
    head="#1d6496",
    tail="#b04a10",
    heat="#2f6b57",
)
DARK = Theme(
    paper="#15181b",
    panel="#1f2428",
    ink="#e9e6df",
    muted="#9ba2a8",
    hairline="#363d43",
    head="#7cb9e6",
    tail="#f29a62",
    heat="#7cc4a8",
)


@dataclass(frozen=True, slots=True)
class Image:
    """A figure in both themes.

    Attributes:
        name: file name without extension.
        alt: what the figure shows, in words, for those who cannot see it.
        caption: how to read it, in one or two sentences.
        light: PNG bytes of the light theme.
        dark: PNG bytes of the dark theme.
        width: pixels of the PNG.
        height: pixels of the PNG.
    """

    name: str
    alt: str
    caption: str
    light: bytes
    dark: bytes
    width: int
    height: int


Painter = Callable[[Figure, Theme], None]


def render(name: str, painter: Painter, *, alt: str, caption: str, inches: tuple[float, float]) -> Image:
    """Paint a figure once per theme. `inches` is width and height at a base font of 9.5 points."""
    light, dark = (_png(painter, theme, inches) for theme in (LIGHT, DARK))
    return Image(name, alt, caption, light, dark, *_size(light))


def style(theme: Theme) -> Any:
    """Matplotlib settings (a dict) of a theme: thin hairlines, no box, no tick marks, text in ink."""
    return {
        "font.family": _font(),
        "font.size": 9.5,
        "axes.titlesize": 10.5,
        "axes.titlelocation": "left",
        "axes.labelsize": 9,
        "axes.labelcolor": theme.muted,
        "axes.edgecolor": theme.hairline,
        "axes.facecolor": theme.paper,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "grid.color": theme.hairline,
        "grid.linewidth": 0.6,
        "figure.facecolor": theme.paper,
        "figure.constrained_layout.w_pad": 0.07,
        "figure.constrained_layout.h_pad": 0.07,
        "text.color": theme.ink,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.minor.size": 0,
        "ytick.minor.size": 0,
        "lines.solid_capstyle": "round",
        "lines.linewidth": 1.6,
        "text.parse_math": False,
        "text.usetex": False,
    }


def shortened(label: str, most: int = 24) -> str:
    """A label of at most `most` characters, shortened by an ellipsis in the middle, because run names differ at the end."""
    if len(label) <= most:
        return label
    end = (most - 1) // 2
    return label[: most - 1 - end] + "\N{HORIZONTAL ELLIPSIS}" + label[len(label) - end :]


def _font() -> str:
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return next(name for name in FONTS if name in installed)


def _size(png: bytes) -> tuple[int, int]:
    """Width and height as the file states them: Matplotlib before 3.10 cuts a fraction of a pixel off, later ones round."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def _png(painter: Painter, theme: Theme, inches: tuple[float, float]) -> bytes:
    buffer = io.BytesIO()
    with matplotlib.rc_context(style(theme)):
        figure = Figure(figsize=inches, dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        painter(figure, theme)
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
