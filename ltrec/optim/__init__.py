"""Optimisers over named groups of parameters, and schedules: learning rate as a pure function of the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ltrec.core.extension.deferred import names_of
from ltrec.optim.optimizers import OPTIMIZERS, OptimizerRow
from ltrec.optim.schedule import SCHEDULES

if TYPE_CHECKING:
    from ltrec.optim.build import optimizer_for
else:
    __getattr__ = names_of(__name__, {"optimizer_for": "ltrec.optim.build"})

__all__ = ["OPTIMIZERS", "SCHEDULES", "OptimizerRow", "optimizer_for"]
