"""Which scorers are set against which: the sections of the page, in order."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.longtail import tables
from benchmarks.longtail.judge import Scorer

EMA, MIX = Scorer(tables.BASE, "ema"), Scorer(tables.BASE, "mix")


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
    Comparison(EMA, MIX, "A memory beside the network, mixed with its probabilities. The recommended method."),
    Comparison(EMA, Scorer(tables.BASE, "log"), "The same memory as a product with the network's probabilities."),
    Comparison(MIX, Scorer(tables.BASE, "strata"), "The memory's weight by stratum instead of one for all."),
    Comparison(EMA, Scorer(tables.BASE, "tail"), "The memory for histories of tail strata alone."),
    Comparison(EMA, Scorer(tables.BASE, "permuted"), "A control: every item has the neighbours of another one."),
    Comparison(EMA, Scorer(tables.BASE, "two"), "Two seeds together, at twice the training and ranking."),
    Comparison(MIX, Scorer(tables.BASE, "two-mix"), "Two seeds and a memory against one and a memory."),
)
"""Variants of joint training, and baselines."""


def comparisons() -> tuple[Comparison, ...]:
    """All of them."""
    return OF_JOINT


SHOWN = next(comparison for comparison in OF_JOINT if (comparison.base, comparison.other) == (EMA, MIX))
"""The one in the figure."""
