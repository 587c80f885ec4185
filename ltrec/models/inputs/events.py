"""Vectors that are added to the item vectors of a history: event columns, user columns, and the time between events."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.core.columns import TIME
from ltrec.models.inputs.alone import alone
from ltrec.models.inputs.times import TimeGap
from ltrec.models.segments import Segments, current


class EventInputs(nn.Module):
    """The sum of embedded event and user columns at every position; user columns are repeated at every position of the row.

    Args:
        events, users: column -> module that maps values [N, ...] to vectors [N, D].
        gap: embeds the time since the previous event; None = not used.
    """

    def __init__(self, events: Mapping[str, nn.Module], users: Mapping[str, nn.Module], gap: TimeGap | None) -> None:
        super().__init__()
        self.columns = nn.ModuleDict({_key(name): module for name, module in events.items()})
        self.users = nn.ModuleDict({_key(name): module for name, module in users.items()})
        self.gap = gap

    def forward(self, batch: SequenceBatch) -> Tensor:
        """Vectors of every position [T, D]."""
        segments = current()
        return self._vectors(batch) if segments is None else self._by_segment(segments, batch)

    def _by_segment(self, segments: Segments, batch: SequenceBatch) -> Tensor:
        vectors = []
        for number, part in enumerate(batch.split(segments.rows)):
            if part.items_T.numel():
                with alone(number, self):
                    vectors.append(self._vectors(part))
        return torch.cat(vectors)

    def _vectors(self, batch: SequenceBatch) -> Tensor:
        parts: list[Tensor] = [module(batch.events[_name(key)]) for key, module in self.columns.items()]
        if self.users:
            row_T = batch.row_of_position()
            parts += [module(batch.users[_name(key)])[row_T] for key, module in self.users.items()]
        if self.gap is not None:
            parts.append(self.gap(batch.events[TIME], batch.index_in_row() == 0))
        return sum(parts[1:], parts[0])


def _key(name: str) -> str:
    """A key of nn.ModuleDict that cannot clash with its attributes, whatever the column is called."""
    return f"of_{name}"


def _name(key: str) -> str:
    return key.removeprefix("of_")
