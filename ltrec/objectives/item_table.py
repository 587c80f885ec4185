"""The item vectors that a loss computes scores from: those of all competing items, or of the sampled ones.

Plain id vectors are rows of a table. Vectors of items with columns are computed: a loss over the whole catalogue computes the whole
table, and a loss over samples only the vectors of its samples. Items without training events take part in no loss: what is learned
about them comes from what they share with other items (`Competing`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltrec.models.inputs import IdVectors, ItemVectors

ItemTable = Tensor | ItemVectors
"""A table [V+1, D], or the module that computes one."""


def loss_table(encoder: nn.Module) -> ItemTable:
    """The items of an Encoder for a loss: its table or, if vectors are computed or rows are touched, the module that gives
    them."""
    vectors = getattr(encoder, "item_vectors", None)
    if vectors is None or (isinstance(vectors, IdVectors) and vectors.in_touch is None):
        table: Tensor = encoder.item_table  # type: ignore[assignment]
        return table
    assert isinstance(vectors, ItemVectors)
    return vectors


def at_hand(table: ItemTable, *items: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Vectors [R, D] that include those of all given items, and the row of each item. A table, or its touched rows, are returned
    unchanged.

    The host needs the number of distinct items, so it waits for an accelerator once. Vectors are computed in one call,
    whatever the items are: ranks that gather parameters as modules run do the same.
    """
    if isinstance(table, Tensor):
        return table, items
    if isinstance(table, IdVectors) and (touched := table.in_touch) is not None:
        return touched.vectors_RD, tuple(touched.place(some) for some in items)
    present_V = torch.zeros(table.num_items + 1, dtype=torch.bool, device=items[0].device)
    for some in items:
        present_V[some.flatten()] = True
    row_V = present_V.cumsum(0) - 1
    return table(present_V.nonzero()[:, 0]), tuple(row_V[some] for some in items)


class Competing(nn.Module):
    """The items that compete in a loss over the catalogue.

    Args:
        among: their ids [R], ascending; None = all.
    """

    among: Tensor | None

    def __init__(self, among: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("among", among, persistent=False)

    def forward(self, table: ItemTable, targets_N: Tensor) -> tuple[Tensor, Tensor]:
        """Their table [R+1, D], row 0 being padding, and each target's row in it; targets are among them."""
        if self.among is None:
            return (table if isinstance(table, Tensor) else table.table()), targets_N
        padded_R = torch.nn.functional.pad(self.among, (1, 0))
        vectors_RD = table[padded_R] if isinstance(table, Tensor) else table(padded_R)
        return vectors_RD, torch.searchsorted(padded_R, targets_N)
