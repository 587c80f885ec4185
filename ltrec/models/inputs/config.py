"""What a user may say of inputs: which columns a model sees."""

from __future__ import annotations

from dataclasses import dataclass

from ltrec.core.columns import ALL

TIME_GAP = "time_gap"
"""An event input that every data set has."""


@dataclass(frozen=True, slots=True)
class InputsConfig:
    """Columns that the model sees besides ids; none unless they are named. `[all]` is every one that the data set has."""

    items: tuple[str, ...] = ()
    """Item columns: an item's vector is that of its id and of these."""
    events: tuple[str, ...] = ()
    """Event columns, added to the vectors of a history. `time_gap` is the time since the event before."""
    users: tuple[str, ...] = ()
    """User columns, added to every vector of a history."""

    def __post_init__(self) -> None:
        for field in ("items", "events", "users"):
            names = getattr(self, field)
            if len(set(names)) < len(names):
                raise ValueError(f"{field} must differ; got {', '.join(names)}")
            if ALL in names and len(names) > 1 and set(names) != {ALL, TIME_GAP}:
                raise ValueError(f"{field}: {ALL} is every column already; got {', '.join(names)}")

    def __bool__(self) -> bool:
        return bool(self.items or self.events or self.users)
