"""Vectors of a window's items, with embedded event and user columns."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.artefact.dense.buckets import exact_gaps
from ltrec.artefact.dense.window import Window
from ltrec.core.columns import TIME
from ltrec.models.inputs import EventInputs


def item_vectors(window: Window, table_VD: Tensor) -> Tensor:
    """[B, W, D]."""
    return F.embedding(window.items, table_VD)


class DenseEvents(nn.Module):
    """An `EventInputs` on rectangles.

    Args:
        events: it.
    """

    def __init__(self, events: EventInputs) -> None:
        super().__init__()
        self.events = events

    def forward(self, window: Window) -> Tensor:
        """[B, W, D]."""
        rows, width = window.items.shape
        parts = []
        for key, module in self.events.columns.items():
            values = window.events[key.removeprefix("of_")].reshape(rows * width)
            parts.append(cast(Tensor, module(values)).view(rows, width, -1))
        for key, module in self.events.users.items():
            parts.append(cast(Tensor, module(window.users[key.removeprefix("of_")]))[:, None, :].expand(-1, width, -1))
        if self.events.gap is not None:
            parts.append(F.embedding(exact_gaps(window.events[TIME]), self.events.gap.weight))
        return sum(parts[1:], parts[0])
