"""Which columns a backbone sees, and what embeds each: made once, where a run is put together, and given to the backbone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from ltrec.models.inputs.column_items import ColumnItems, ItemColumn
from ltrec.models.inputs.events import EventInputs
from ltrec.models.inputs.gated import Gated
from ltrec.models.inputs.item_vectors import IdVectors, ItemVectors
from ltrec.models.inputs.times import TimeGap

Embed = Callable[[int], nn.Module]
"""width D -> a module from values [N, ...] to vectors [N, D]."""


@dataclass(frozen=True, slots=True)
class ColumnInput:
    """A column of events or users, whose values come with the batch.

    Attributes:
        name: of the column.
        embed: what makes vectors of its values.
    """

    name: str
    embed: Embed


@dataclass(frozen=True, slots=True)
class ItemColumnInput:
    """A column of items, whose values are known beforehand.

    Attributes:
        name: of the column.
        embed: what makes vectors of its values.
        values: [V+1, ...] by item id; row 0 is not looked at.
    """

    name: str
    embed: Embed
    values: Tensor


@dataclass(frozen=True, slots=True)
class Inputs:
    """All columns that a backbone sees.

    Attributes:
        items, events, users: by what they say something of.
        time_gap: whether an event's vector tells how long after the one before it happened (event column `time`).
        trained: bool [V+1], items with a training event; the others have no id vector, only their columns. None = all have one.
    """

    items: tuple[ItemColumnInput, ...] = ()
    events: tuple[ColumnInput, ...] = ()
    users: tuple[ColumnInput, ...] = ()
    time_gap: bool = False
    trained: Tensor | None = None

    def item_vectors(self, num_items: int, width: int) -> ItemVectors:
        """A backbone's `items`."""
        if not self.items:
            return IdVectors(num_items, width)
        columns = {column.name: ItemColumn(column.values, Gated(column.embed(width))) for column in self.items}
        return ColumnItems(num_items, width, columns, trained=self.trained)

    def event_inputs(self, width: int) -> EventInputs | None:
        """A backbone's `events`; None where no column says anything of events."""
        if not (self.events or self.users or self.time_gap):
            return None
        return EventInputs(
            {column.name: Gated(column.embed(width)) for column in self.events},
            {column.name: Gated(column.embed(width)) for column in self.users},
            TimeGap(width) if self.time_gap else None,
        )


NO_INPUTS = Inputs()
"""Ids alone."""
