"""Interfaces of backbones. Every backbone is a `Scorer`; most are `Encoder`s; one that must know its candidates is not.

An Encoder's score is an inner product of a state with an item vector: its states serve the loss, the full ranking, export and
nearest-neighbour search alike. A CandidateScorer looks at the candidate item before it has a state, so it has nothing to hand to
a loss over the whole catalogue, nor to an index.

Places are where plugins may be put. A backbone that has some (a `Trunk`) names them, and each of its methods below takes one more
optional argument, `adapt`, through which it hands every vector that passes a place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import Tensor

from ltrec.core.batch import SequenceBatch

Adapt = Callable[[str, Tensor, Tensor], Tensor]
"""(place, vectors [N, ..., D], stratum of each leading entry, int64 [N]) -> vectors of the same shape."""


@runtime_checkable
class Scorer(Protocol):
    """Ranks the whole catalogue."""

    def scores(self, batch: SequenceBatch) -> Tensor:
        """Scores after the last position of every row: [B, V+1], column 0 = -inf."""


@runtime_checkable
class Encoder(Scorer, Protocol):
    """A Scorer with states; the score is their inner product with the item table."""

    def encode(self, batch: SequenceBatch) -> Tensor:
        """States after every position: [T, D], packed like the batch."""

    def final_states(self, batch: SequenceBatch) -> Tensor:
        """States after the last position of every row: [B, D]; zero for an empty row."""

    @property
    def item_table(self) -> Tensor:
        """[V+1, D]; row 0 is padding, always zero. Scoring uses it raw: no plugin touches it, so one index serves all strata."""


@runtime_checkable
class CandidateScorer(Scorer, Protocol):
    """A Scorer that needs to know the candidates: it has no state without one."""

    def candidate_logits(self, batch: SequenceBatch, candidates_TM: Tensor) -> Tensor:
        """Scores of M candidates after every position, each with candidates of its own: [T, M]."""


@runtime_checkable
class Trunk(Scorer, Protocol):
    """A Scorer that plugins can be put into.

    Attributes:
        places: `items` (item vectors, before positions; where candidates are looked at before scoring, theirs too), `state`
            (before scoring).
        width: D, of the vectors at all of them.
    """

    places: tuple[str, ...]
    width: int
