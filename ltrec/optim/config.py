"""Options of the optimiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ltrec.core.bounds import INT32, SHARE, Among, Between, check_fields
from ltrec.optim.schedule import SCHEDULES


@dataclass(frozen=True, slots=True)
class OptimConfig:
    """Options of every optimiser: learning rate, schedule, decay and clipping. An optimiser's own options extend them."""

    name: str = ""
    """Key in OPTIMIZERS."""
    lr: Annotated[float, Between(0, 1e30, above=True)] = 1e-3
    """Peak learning rate."""
    weight_decay: Annotated[float, Between(0, 1e6)] = 0.0
    """Decay of weight matrices; biases, norms and embedding tables are never decayed."""
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


@dataclass(frozen=True, slots=True)
class AdamWConfig(OptimConfig):
    """AdamW."""

    name: str = "adamw"
    """Key in OPTIMIZERS."""
    beta1: Annotated[float, Between(0, 1, below=True)] = 0.9
    """Decay of the first moment."""
    beta2: Annotated[float, Between(0, 1, below=True)] = 0.98
    """Decay of the second moment."""
    eps: Annotated[float, Between(0, 1, above=True)] = 1e-8
    """Added to the root of the second moment."""


@dataclass(frozen=True, slots=True)
class LazyAdamWConfig(AdamWConfig):
    """AdamW that steps only the rows of embedding tables that have a gradient: for large catalogues; another optimiser."""

    name: str = "lazy_adamw"
    """Key in OPTIMIZERS."""


@dataclass(frozen=True, slots=True)
class AdamConfig(AdamWConfig):
    """Adam, where `weight_decay` is a part of the gradient."""

    name: str = "adam"
    """Key in OPTIMIZERS."""


@dataclass(frozen=True, slots=True)
class SGDConfig(OptimConfig):
    """Stochastic gradient descent."""

    name: str = "sgd"
    """Key in OPTIMIZERS."""
    momentum: Annotated[float, Between(0, 1, below=True)] = 0.0
    """Decay of the velocity; 0 = none."""
    nesterov: bool = False
    """Look ahead along the velocity; needs momentum."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=true needs momentum; set momentum, as in 0.9")
