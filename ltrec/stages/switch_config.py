"""What a user may say about the switch from the first stage, the trunk alone, to the second, with plugins."""

from __future__ import annotations

from dataclasses import dataclass

from ltrec.core.errors import nearest

CLOCKS = ("epoch", "step", "plateau")


@dataclass(frozen=True, slots=True)
class SwitchConfig:
    """When the plugins of `plugin.name` wake, and what becomes of the trunk."""

    by: str = "epoch"
    """epoch: after so many epochs; step: after so many optimiser steps; plateau: when `trainer.monitor` has not risen for so many
    validations, and from its best on."""
    at: int = 10
    """How many. 0 epochs or steps: from the start, as in a second run from a checkpoint (`init_from`)."""
    trunk_rate: float = 0.1
    """Learning rate of the trunk in the second stage, as a share of the first's; 0 freezes it."""
    plugin_rate: float = 1.0
    """Learning rate of the plugins, as a share of the trunk's in the first stage."""

    def __post_init__(self) -> None:
        if self.by not in CLOCKS:
            raise ValueError(f"by must be one of {', '.join(CLOCKS)}; got {self.by!r}{nearest(self.by, CLOCKS)}")
        if self.at < (self.by == "plateau"):
            raise ValueError(f"at must be at least {int(self.by == 'plateau')} with by={self.by}; got {self.at}")
        if not 0 <= self.trunk_rate <= 1:
            raise ValueError(f"trunk_rate must lie between 0 and 1; got {self.trunk_rate}")
        if not self.plugin_rate > 0:
            raise ValueError(f"plugin_rate must be above 0, or plugins would not learn; got {self.plugin_rate}")
