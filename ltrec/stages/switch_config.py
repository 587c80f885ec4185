"""What a user may say about the switch from the first stage, the trunk alone, to the second, with plugins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ltrec.core.bounds import INT32, SHARE, Between, OneOf, check_fields

CLOCKS = ("epoch", "step", "plateau")


@dataclass(frozen=True, slots=True)
class SwitchConfig:
    """When the plugins of `plugin.name` wake, and what becomes of the trunk."""

    by: Annotated[str, OneOf(*CLOCKS)] = "epoch"
    """epoch: after so many epochs; step: after so many optimiser steps; plateau: when `trainer.monitor` has not risen for so many
    validations, and from its best on."""
    at: Annotated[int, Between(0, INT32)] = 10
    """How many. 0 epochs or steps: from the start, as in a second run from a checkpoint (`init_from`)."""
    trunk_rate: Annotated[float, SHARE] = 0.1
    """Learning rate of the trunk in the second stage, as a share of the first's; 0 freezes it."""
    plugin_rate: Annotated[float, Between(0, 1e6, above=True)] = 1.0
    """Learning rate of the plugins, as a share of the trunk's in the first stage; above 0, or they would not learn."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.at < (self.by == "plateau"):
            raise ValueError(f"at must be at least {int(self.by == 'plateau')} with by={self.by}; got {self.at}")
