"""Options of each kind of plugin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from ltrec.core.bounds import INT32, Between, check_fields
from ltrec.models.plugins.switch_config import SwitchConfig

Form = Literal["identity", "released"]


@dataclass(frozen=True, slots=True)
class NoPluginConfig:
    """The trunk alone."""

    name: str = "none"
    """Key in PLUGINS."""


@dataclass(frozen=True, slots=True)
class BottleneckConfig:
    """PIN's plugins."""

    name: str = "bottleneck"
    """Key in PLUGINS."""
    form: Form = "identity"
    """`identity`: starts as the identity; `released`: with the outer tanh of the PIN authors' release, starts as tanh(x)."""
    places: tuple[str, ...] = ()
    """Where: `items`, `state`; empty = every place the backbone has."""
    shrink: Annotated[int, Between(1, 1 << 16)] = 2
    """The middle is the width divided by this."""
    switch: SwitchConfig = field(default_factory=SwitchConfig)
    """When they wake, and what becomes of the trunk."""

    def __post_init__(self) -> None:
        check_fields(self)
        if len(set(self.places)) < len(self.places):
            raise ValueError(f"places must differ; got {', '.join(self.places)}")


@dataclass(frozen=True, slots=True)
class CopiesConfig:
    """A copy of the trunk per stratum."""

    name: str = "copies"
    """Key in PLUGINS."""
    switch: SwitchConfig = field(default_factory=SwitchConfig)
    """When they wake, and what becomes of the trunk."""


@dataclass(frozen=True, slots=True)
class MeltConfig:
    """MELT's user branch."""

    name: str = "melt"
    """Key in PLUGINS."""
    weight: Annotated[float, Between(0, 1e6, above=True)] = 0.2
    """Lambda of the branch's loss."""
    ramp_steps: Annotated[int, Between(1, INT32)] = 2000
    """Steps, from the first with the map, over which the curriculum moves from the longest rows to the shortest of the head; MELT
    takes about the length of training."""
    switch: SwitchConfig = field(default_factory=SwitchConfig)
    """When the map is there, and what becomes of the trunk."""

    def __post_init__(self) -> None:
        check_fields(self)
