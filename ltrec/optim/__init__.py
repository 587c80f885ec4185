"""Optimisers over named groups of parameters, and schedules: learning rate as a pure function of the step."""

from __future__ import annotations

from ltrec.optim.build import OPTIMIZERS, OptimizerRow, optimizer_for
from ltrec.optim.schedule import SCHEDULES

__all__ = ["OPTIMIZERS", "SCHEDULES", "OptimizerRow", "optimizer_for"]
