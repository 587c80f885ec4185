"""Which scorers are set against which: the sections of the page, in order."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.longtail import tables
from benchmarks.longtail.judge import Scorer

EMA, MIX, RIDGE = (Scorer(tables.BASE, variant) for variant in ("ema", "mix", "ridge"))


@dataclass(frozen=True, slots=True)
class Comparison:
    """A scorer against its base.

    Attributes:
        base: what is compared with.
        other: what is in question.
    """

    base: Scorer
    other: Scorer

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.other.name} against {self.base.name}"


@dataclass(frozen=True, slots=True)
class Section:
    """Comparisons in one table.

    Attributes:
        title: its heading.
        about: a line beneath it.
        comparisons: in order.
    """

    title: str
    about: str
    comparisons: tuple[Comparison, ...]


COUNTED = Comparison(EMA, MIX)
"""The one in the figure: every log has it."""


def _joint(variant: str) -> Scorer:
    return Scorer(tables.BASE, variant)


SECTIONS: tuple[Section, ...] = (
    Section(
        "A memory beside joint training",
        "`mix`: counts of which items follow which, mixed with the network's probabilities by one weight. `ridge`, which is "
        "recommended: the same with weights from a regression of every item on those before it. It came later, by validation, when "
        "the test splits had been ranked with counts; logs without it are still to be ranked.",
        (Comparison(EMA, RIDGE), COUNTED, Comparison(MIX, RIDGE)),
    ),
    Section(
        "Other forms of it",
        "`log`: a product of the two; `tail`: the mix for histories of tail strata alone; `strata` against `mix`: a weight for "
        "every stratum; `permuted`: a control, items have the neighbours of others; `transitions`: the memory without a network.",
        (
            *(Comparison(EMA, _joint(name)) for name in ("log", "tail", "permuted")),
            Comparison(MIX, _joint("strata")),
            Comparison(EMA, Scorer(tables.UNTRAINED, "transitions")),
        ),
    ),
    Section(
        "Averaged weights, and two seeds together",
        "`ema` against the raw weights of the same checkpoints; `two`: at twice the training and ranking.",
        (Comparison(_joint("raw"), EMA), Comparison(EMA, _joint("two")), Comparison(MIX, _joint("two-mix"))),
    ),
    Section(
        "Rivals",
        "Each on what joint training has chosen, with averaged weights like it.",
        tuple(Comparison(EMA, Scorer(rival, "ema")) for rival in tables.RIVALS),
    ),
    Section(
        "Rivals with a memory",
        "Each with a memory by regression beside it, against joint training with one.",
        tuple(Comparison(RIDGE, Scorer(rival, "ridge")) for rival in tables.RIVALS),
    ),
)
