"""The item vectors that a loss takes its scores from: those of all items that compete, or of the few at hand.

Where an item is an id, all vectors lie in a table. Where they are made of columns as well, they are computed; then a loss over the
whole catalogue has the table computed, and a loss over samples the vectors of its samples. Items that training never met stand in
no loss: nothing may be learned of them but by what they share with others (`competing`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltrec.models.inputs import IdVectors, ItemVectors

ItemTable = Tensor | ItemVectors
"""[V+1, D], or what computes it."""


def loss_table(encoder: nn.Module) -> ItemTable:
    """What a loss is given for an Encoder's items: its table, but where its vectors are computed, what computes them."""
    vectors = getattr(encoder, "item_vectors", None)
    if vectors is None or isinstance(vectors, IdVectors):
        table: Tensor = encoder.item_table  # type: ignore[assignment]
        return table
    assert isinstance(vectors, ItemVectors)
    return vectors


def at_hand(table: ItemTable, *items: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Vectors [R, D] that hold those of all the items, and each item's row there. A table is taken as it is.

    The distinct items are found on the host's time: an accelerator is waited for, once.
    """
    if isinstance(table, Tensor):
        return table, items
    together = torch.cat([some.flatten() for some in items])
    if together.numel() > table.num_items:
        return table.table(), items
    distinct_R, row = torch.unique(together, return_inverse=True)
    rows = torch.split(row, [some.numel() for some in items])
    return table(distinct_R), tuple(part.view(some.shape) for part, some in zip(rows, items, strict=True))


class Competing(nn.Module):
    """The items that stand in a loss over the catalogue.

    Args:
        among: their ids [R], rising; None = all.
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
