"""Options of inputs: which columns a model uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ltrec.core.bounds import Between, check_fields
from ltrec.core.columns import ALL

TIME_GAP = "time_gap"
"""An event input that exists in every data set."""


@dataclass(frozen=True, slots=True)
class InputsConfig:
    """Columns that the model uses besides ids; none by default. `[all]` = every column of the data set."""

    items: tuple[str, ...] = ()
    """Item columns, which contribute to item vectors."""
    events: tuple[str, ...] = ()
    """Event columns, added to the vectors of a history. `time_gap` is the time since the previous event."""
    users: tuple[str, ...] = ()
    """User columns, added to every vector of a history."""
    id_dropout: Annotated[float, Between(0, 1, below=True)] = 0.0
    """Share of items whose id vector is dropped in training, so that columns learn to do without: new items rank higher."""

    id_neighbours: Annotated[int, Between(0, 1000)] = 0
    """In evaluation, items without training events have the mean id vector of this many items with the most similar columns; 0 =
    they have none. Training does not change."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.id_neighbours and not self.items:
            raise ValueError(f"id_neighbours is {self.id_neighbours}, but items is empty: nothing tells which items are similar")
        if self.id_dropout and not self.items:
            raise ValueError(f"id_dropout is {self.id_dropout:g}, but items is empty: without an id nothing would be left")
        for field in ("items", "events", "users"):
            names = getattr(self, field)
            if len(set(names)) < len(names):
                raise ValueError(f"{field} must differ; got {', '.join(names)}")
            if ALL in names and len(names) > 1 and set(names) != {ALL, TIME_GAP}:
                raise ValueError(f"{field}: {ALL} already includes every column; got {', '.join(names)}")

    def __bool__(self) -> bool:
        return bool(self.items or self.events or self.users)
