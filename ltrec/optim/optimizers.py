"""Optimisers: the visible table.

adamw   Loshchilov & Hutter, arXiv 1711.05101: decay is decoupled from the gradient (the default)
adam    Kingma & Ba, arXiv 1412.6980: decay is a part of the gradient
sgd     optionally with momentum
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ltrec.core.extension.registry import Registry, Variant
from ltrec.optim.config import AdamConfig, AdamWConfig, OptimConfig, SGDConfig

if TYPE_CHECKING:
    from torch.optim import Optimizer  # noqa: F401  in a string below


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerRow(Variant["Optimizer"]):
    """A row of `OPTIMIZERS`.

    Attributes:
        build: (parameter groups, lr=..., own options) -> torch optimiser that keeps these groups.
        config: extends `OptimConfig` by its own options.
    """

    extends: ClassVar[type] = OptimConfig


OPTIMIZERS: Registry[OptimizerRow] = Registry("optim.name", OptimizerRow)
OPTIMIZERS.register("adamw", config=AdamWConfig, build="ltrec.optim.build:build_adamw")
OPTIMIZERS.register("adam", config=AdamConfig, build="ltrec.optim.build:build_adam")
OPTIMIZERS.register("sgd", config=SGDConfig, build="ltrec.optim.build:build_sgd")
