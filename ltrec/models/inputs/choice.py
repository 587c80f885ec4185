"""The columns that a backbone uses and their embeddings; built once per run, and passed to the backbone."""

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
"""Width D -> a module that maps values [N, ...] to vectors [N, D]."""


@dataclass(frozen=True, slots=True)
class ColumnInput:
    """An event or user column, whose values are in the batch.

    Attributes:
        name: of the column.
        embed: makes the module that embeds its values.
    """

    name: str
    embed: Embed


@dataclass(frozen=True, slots=True)
class ItemColumnInput:
    """An item column, whose values are known in advance.

    Attributes:
        name: of the column.
        embed: makes the module that embeds its values.
        values: [V+1, ...] by item id; row 0 is ignored.
    """

    name: str
    embed: Embed
    values: Tensor


@dataclass(frozen=True, slots=True)
class Inputs:
    """All columns that a backbone uses.

    Attributes:
        items, events, users: columns by role.
        time_gap: whether the time since the previous event (event column `time`) is an input.
        trained: bool [V+1], items with training events; other items have no id vector, only columns. None = all have one.
        id_dropout: share of items whose id vector is dropped in training.
        id_neighbours: similar items whose mean id vector an item without one has in evaluation; 0 = none.
    """

    items: tuple[ItemColumnInput, ...] = ()
    events: tuple[ColumnInput, ...] = ()
    users: tuple[ColumnInput, ...] = ()
    time_gap: bool = False
    trained: Tensor | None = None
    id_dropout: float = 0.0
    id_neighbours: int = 0

    def item_vectors(self, num_items: int, width: int) -> ItemVectors:
        """A backbone's `items`."""
        if not self.items:
            return IdVectors(num_items, width)
        columns = {column.name: ItemColumn(column.values, Gated(column.embed(width))) for column in self.items}
        return ColumnItems(
            num_items, width, columns, trained=self.trained, id_dropout=self.id_dropout, id_neighbours=self.id_neighbours
        )

    def event_inputs(self, width: int) -> EventInputs | None:
        """A backbone's `events`; None without event and user columns."""
        if not (self.events or self.users or self.time_gap):
            return None
        return EventInputs(
            {column.name: Gated(column.embed(width)) for column in self.events},
            {column.name: Gated(column.embed(width)) for column in self.users},
            TimeGap(width) if self.time_gap else None,
        )


NO_INPUTS = Inputs()
"""No columns."""
