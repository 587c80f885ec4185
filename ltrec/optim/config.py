"""What a user may say about the optimiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ltrec.core.bounds import INT32, SHARE, Among, Between, check_fields
from ltrec.optim.schedule import SCHEDULES


@dataclass(frozen=True, slots=True)
class OptimConfig:
    """AdamW and its learning-rate schedule."""

    lr: Annotated[float, Between(0, 1e30, above=True)] = 1e-3
    """Peak learning rate."""
    weight_decay: Annotated[float, Between(0, 1e6)] = 0.0
    """Decoupled decay of weight matrices; biases, norms and embedding tables are never decayed."""
    beta1: Annotated[float, Between(0, 1, below=True)] = 0.9
    """Decay of the first moment."""
    beta2: Annotated[float, Between(0, 1, below=True)] = 0.98
    """Decay of the second moment."""
    eps: Annotated[float, Between(0, 1, above=True)] = 1e-8
    """Added to the root of the second moment."""
    schedule: Annotated[str, Among(SCHEDULES)] = "constant"
    """constant, linear or cosine: how the rate falls after the warm-up."""
    warmup_steps: Annotated[int, Between(0, INT32)] = 0
    """Optimiser steps over which the rate rises linearly from zero."""
    final_ratio: Annotated[float, SHARE] = 0.0
    """Learning rate at the last step, as a share of the peak (linear and cosine)."""
    clip_norm: Annotated[float, Between(0, 1e9)] = 0.0
    """Clip the norm of the whole gradient to this; 0 = never."""

    def __post_init__(self) -> None:
        check_fields(self)
