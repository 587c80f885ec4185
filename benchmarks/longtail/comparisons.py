"""Which scorers are set against which: the sections of the page, in order."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.longtail import tables
from benchmarks.longtail.judge import Scorer

EMA = Scorer(tables.BASE, "ema")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A scorer against its base.

    Attributes:
        base: what is compared with.
        other: what is in question.
        about: a line for the page.
    """

    base: Scorer
    other: Scorer
    about: str

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.other.name} against {self.base.name}"


OF_JOINT: tuple[Comparison, ...] = (
    Comparison(Scorer(tables.BASE, "raw"), EMA, "What averaging weights brings; the raw ones are those of the same checkpoint."),
    Comparison(EMA, Scorer(tables.BASE, "two"), "Two seeds together, twice the training and ranking."),
)
"""Variants of joint training, and baselines."""


def comparisons() -> tuple[Comparison, ...]:
    """All of them."""
    return OF_JOINT


SHOWN = OF_JOINT[0]
"""The one in the figure."""
