"""Options of the switch from the first stage, the trunk alone, to the second, with plugins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from ltrec.core.bounds import INT32, SHARE, Between, check_fields

Clock = Literal["epoch", "step", "share", "plateau"]


@dataclass(frozen=True, slots=True)
class SwitchConfig:
    """When plugins wake, and what becomes of the trunk."""

    by: Clock = "epoch"
    """epoch: after so many epochs; step: after so many optimiser steps; share: after this share of the run's steps, by
    trainer.max_epochs and trainer.max_steps; plateau: when `trainer.monitor` has not risen for so many validations, and from its
    best on."""
    at: Annotated[float, Between(0, INT32)] = 10
    """How many, or the share. 0: from the start, as in a second run from a checkpoint (`init_from`)."""
    trunk_rate: Annotated[float, SHARE] = 0.1
    """Learning rate of the trunk in the second stage, as a share of the first's; 0 freezes it."""
    plugin_rate: Annotated[float, Between(0, 1e6, above=True)] = 1.0
    """Learning rate of the plugins, as a share of the trunk's in the first stage; above 0, or they would not learn."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.by == "share" and not self.at < 1:
            raise ValueError(f"at must be below 1 with by=share; got {self.at:g}")
        if self.by != "share" and (self.at % 1 or self.at < (self.by == "plateau")):
            raise ValueError(f"at must be a whole number, at least {int(self.by == 'plateau')}, with by={self.by}; got {self.at:g}")

    def first_step(self, *, steps_per_epoch: int, total_steps: int) -> int:
        """The step before which plugins wake; 0 for `plateau`, for which it is unknown in advance.

        Args:
            steps_per_epoch: of the run.
            total_steps: that it is to have.
        """
        unit = {"epoch": steps_per_epoch, "step": 1, "share": total_steps, "plateau": 0}[self.by]
        return round(self.at * unit)
