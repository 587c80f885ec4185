"""The states of a SASRec on rectangles, with the modules of the trained model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ltrec.artefact.dense.adapters import Adapters
from ltrec.artefact.dense.buckets import exact_elapsed
from ltrec.artefact.dense.vectors import DenseEvents, item_vectors
from ltrec.artefact.dense.window import Window
from ltrec.core.columns import TIME
from ltrec.models.backbones.sasrec import SASRec


@dataclass(frozen=True, slots=True)
class DenseLayout:
    """An `AttentionLayout` of one rectangle in which every cell is a position."""

    rows: int
    length: int
    elapsed: tuple[Tensor, ...] | None = None

    @property
    def groups(self) -> tuple[tuple[int, int], ...]:
        """The rectangle."""
        return ((self.rows, self.length),)

    def pad(self, values_TC: Tensor) -> list[Tensor]:
        """[B, W, C]."""
        return [values_TC.view(self.rows, self.length, -1)]

    def unpad(self, groups: Sequence[Tensor]) -> Tensor:
        """[T, C]."""
        return groups[0].flatten(0, 1)


class DenseSASRec(nn.Module):
    """A trained SASRec.

    Args:
        trunk: it.
    """

    whole_windows = False

    def __init__(self, trunk: SASRec) -> None:
        super().__init__()
        self.width, self.positions, self.blocks, self.final_norm = trunk.width, trunk.positions, trunk.blocks, trunk.final_norm
        self.events = None if trunk.events is None else DenseEvents(trunk.events)
        self.time_bias = trunk.time_bias

    def forward(self, window: Window, table_VD: Tensor, adapters: Adapters) -> Tensor:
        """States [B, W, D]."""
        rows, length = window.items.shape
        layout: Any = DenseLayout(rows, length)
        if self.time_bias:
            layout = DenseLayout(rows, length, (exact_elapsed(window.events[TIME]),))
        states = adapters.at("items", item_vectors(window, table_VD), window.stratum_B) * math.sqrt(self.width)
        if self.positions is not None:
            states = states + self.positions(window.from_end)
        if self.events is not None:
            states = states + self.events(window)
        packed = states.flatten(0, 1)
        for block in self.blocks:
            packed = block(packed, layout)
        return adapters.at("state", self.final_norm(packed).view(rows, length, -1), window.stratum_B)
