"""What the page shows, as values: sentences, tables and figures, ready for the template, which decides nothing."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from ltrec.evaluation.plots import Image


@dataclass(frozen=True, slots=True)
class Part:
    """A run of text; `accent` is ``tail``, ``head`` or empty."""

    text: str
    accent: str = ""


Sentence = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """A large number."""

    label: str
    value: str
    interval: str
    note: str
    accent: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A box: one word, what it is about, and why. `tone` is ``pass``, ``fail`` or empty."""

    word: str
    title: str
    lines: tuple[str, ...]
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value, and its interval in small print."""

    value: str
    interval: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table; `rule` draws a line above it."""

    name: str
    cells: tuple[Cell, ...]
    note: str = ""
    accent: str = ""
    rule: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Columns include the first, over the row names."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """A figure or, where there is nothing to draw, the sentence that says so."""

    image: Picture | None
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as the page embeds it: both themes as data URIs."""

    light_uri: str
    dark_uri: str
    alt: str
    caption: str
    width: int
    height: int
    source: Image


@dataclass(frozen=True, slots=True)
class Versus:
    """This run against another scorer."""

    id: str
    title: str
    notes: tuple[str, ...]
    table: Table
    forest: Panel


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The parts of the page that rest on an evaluation."""

    tiles: tuple[Tile, ...]
    verdicts: tuple[Verdict, ...]
    metrics: Table
    all_metrics: Table
    activity: Panel
    by_stratum: Panel
    grid: Panel
    grid_notes: tuple[str, ...]
    coverage: Table
    comparisons: tuple[Versus, ...]
    side_by_side: Table | None
    cold: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gradients:
    """What stratified training recorded of its strata."""

    cosines: Panel
    weights: Panel
    norms: Panel
    table: Table
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report, in reading order."""

    version: str
    title: str
    kicker: tuple[str, ...]
    headline: Sentence
    lede: tuple[Sentence, ...]
    evaluated: Evaluated | None
    loss: Panel
    validation: Panel
    training_notes: tuple[str, ...]
    gradients: Gradients | None
    protocol: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...]
    config: str | None
    limits: tuple[str, ...]
    footer: str

    def images(self) -> tuple[Image, ...]:
        """Every figure of the page."""
        e = self.evaluated
        panels = (e.activity, e.by_stratum, e.grid, *(c.forest for c in e.comparisons)) if e else ()
        g = self.gradients
        panels = (*panels, self.loss, self.validation, *((g.cosines, g.weights, g.norms) if g else ()))
        return tuple(p.image.source for p in panels if p.image is not None)


def picture(image: Image) -> Picture:
    """Embed an image."""
    light, dark = ("data:image/png;base64," + base64.b64encode(png).decode("ascii") for png in (image.light, image.dark))
    return Picture(light, dark, image.alt, image.caption, image.width, image.height, image)


def shown(image: Image) -> Panel:
    """A panel with a figure."""
    return Panel(picture(image))


def missing(sentence: str) -> Panel:
    """A panel without."""
    return Panel(None, sentence)
