"""Backbones: each turns a batch of sequences into item scores. One file per backbone, one visible table.

Every backbone is a `Scorer`. One whose score is an inner product of a state with an item vector is an `Encoder` too: its states
serve the loss, the full ranking, export and nearest-neighbour search alike. A backbone that looks at the candidate item before it
has a state (DIN) is a Scorer only.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.models.backbones.sasrec import SASRec, SASRecConfig


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
        """[V+1, D]; row 0 is padding, always zero."""


BACKBONES: dict[str, type[nn.Module]] = {"sasrec": SASRec}
"""name -> class, called with num_items, max_len and the fields of its config but `name`."""

BACKBONE_CONFIGS: dict[str, type[SASRecConfig]] = {"sasrec": SASRecConfig}
"""name -> config dataclass."""

__all__ = ["BACKBONES", "BACKBONE_CONFIGS", "Encoder", "SASRec", "SASRecConfig", "Scorer"]
