"""The content of the page as values: sentences, tables and figures, which the template only formats."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from ltrec.reporting.plots.style import Image


@dataclass(frozen=True, slots=True)
class Phrase:
    """A run of text; `accent` is ``tail``, ``head``, ``code``, ``term`` (explained in the glossary) or empty."""

    text: str
    accent: str = ""


Sentence = tuple[Phrase, ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """A large number."""

    label: str
    value: str
    interval: str
    note: str
    accent: str = ""


@dataclass(frozen=True, slots=True)
class Badge:
    """A verdict: its word, and its tone (``pass``, ``fail``, ``inconclusive`` or ``none``), which determines the icon."""

    word: str
    tone: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A value, with its interval and its spread over seeds in small print."""

    value: str
    interval: str = ""
    spread: str = ""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table; `rule` draws a line above it."""

    name: str
    cells: tuple[Cell, ...]
    note: str = ""
    accent: str = ""
    rule: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `columns` includes the one of the row names."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """A figure, or a sentence that explains why there is none."""

    image: Picture | None
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image for the page: both themes as data URIs."""

    light_uri: str
    dark_uri: str
    alt: str
    caption: str
    width: int
    height: int
    source: Image


@dataclass(frozen=True, slots=True)
class Answer:
    """The first screen: the answer in one line with its badge, its basis, a figure, and the reasons.

    Attributes:
        line: the heading of the page.
        badge: the verdict, if there is one.
        lede: the text below it.
        figure: None if nothing was evaluated.
        reasons: a sentence each.
        others: further baselines, a line and a badge each.
        cautions: what the reader must know before trusting the figures.
    """

    line: Sentence
    badge: Badge | None
    lede: tuple[Sentence, ...]
    figure: Panel | None
    reasons: tuple[str, ...]
    others: tuple[tuple[Sentence, Badge], ...]
    cautions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Versus:
    """A comparison with another scorer; the forest plot is None if the first screen shows it."""

    id: str
    title: str
    badge: Badge | None
    reasons: tuple[str, ...]
    note: str
    table: Table
    forest: Panel | None


@dataclass(frozen=True, slots=True)
class Reached:
    """Distances of targets from histories: sentences, shares and metric by distance as figures, and both as a table."""

    words: tuple[str, ...]
    shares: Panel
    given: Panel
    table: Table


@dataclass(frozen=True, slots=True)
class EvaluatedSections:
    """The parts of the page that need an evaluation."""

    tiles: tuple[Tile, ...]
    words: tuple[Sentence, ...]
    metrics: Table
    all_metrics: Table
    activity: Panel
    by_stratum: Panel | None
    reach: Reached | None
    grid: Panel
    grid_notes: tuple[str, ...]
    coverage: Table
    comparisons: tuple[Versus, ...]
    methods: Table | None
    seeds: Table | None
    cold: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gradients:
    """Telemetry of strata in stratified training."""

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
    answer: Answer
    evaluated: EvaluatedSections | None
    loss: Panel
    validation: Panel
    gradients: Gradients | None
    protocol: tuple[tuple[str, str], ...]
    provenance: tuple[tuple[str, str], ...]
    config: str | None
    config_of: str
    limits: tuple[str, ...]
    footer: str

    def images(self) -> tuple[Image, ...]:
        """Every figure of the page."""
        e = self.evaluated
        panels = (self.answer.figure, *((e.activity, e.by_stratum, e.grid, *(c.forest for c in e.comparisons)) if e else ()))
        panels = (*panels, *((e.reach.shares, e.reach.given) if e and e.reach else ()))
        g = self.gradients
        panels = (*panels, self.loss, self.validation, *((g.cosines, g.weights, g.norms) if g else ()))
        return tuple(p.image.source for p in panels if p is not None and p.image is not None)


def picture(image: Image) -> Picture:
    """Embed an image."""
    light, dark = ("data:image/png;base64," + base64.b64encode(png).decode("ascii") for png in (image.light, image.dark))
    return Picture(light, dark, image.alt, image.caption, image.width, image.height, image)


def shown(image: Image) -> Panel:
    """A panel with a figure."""
    return Panel(picture(image))


def missing(sentence: str) -> Panel:
    """A panel without a figure."""
    return Panel(None, sentence)
