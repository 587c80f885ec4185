"""What is added to the item vectors of a history: the columns of its events, those of its user, and the time between events."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.core.columns import TIME
from ltrec.models.inputs.times import TimeGap


class EventInputs(nn.Module):
    """The sum of all that a batch's columns say of every position; a user's columns are said at every position of his row.

    Args:
        events, users: column -> values [N, ...] to vectors [N, D].
        gap: time since the event before, if it is asked for.
    """

    def __init__(self, events: Mapping[str, nn.Module], users: Mapping[str, nn.Module], gap: TimeGap | None) -> None:
        super().__init__()
        self.columns = nn.ModuleDict({_key(name): module for name, module in events.items()})
        self.users = nn.ModuleDict({_key(name): module for name, module in users.items()})
        self.gap = gap

    def forward(self, batch: SequenceBatch) -> Tensor:
        """Vectors of every position [T, D]."""
        parts: list[Tensor] = [module(batch.events[_name(key)]) for key, module in self.columns.items()]
        if self.users:
            row_T = batch.row_of_position()
            parts += [module(batch.users[_name(key)])[row_T] for key, module in self.users.items()]
        if self.gap is not None:
            parts.append(self.gap(batch.events[TIME], batch.index_in_row() == 0))
        return sum(parts[1:], parts[0])


def _key(name: str) -> str:
    """A key that is no attribute of nn.ModuleDict, for a column of any name."""
    return f"of_{name}"


def _name(key: str) -> str:
    return key.removeprefix("of_")
