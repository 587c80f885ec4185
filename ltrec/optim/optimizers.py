"""Optimisers: the visible table.

adamw   Loshchilov & Hutter, arXiv 1711.05101: decay is decoupled from the gradient (the default)
adam    Kingma & Ba, arXiv 1412.6980: decay is a part of the gradient
sgd     optionally with momentum
lazy_adamw   AdamW that leaves rows of embedding tables alone that have no gradient (`lazy`)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ltrec.core.extension.registry import Registry, Variant
from ltrec.optim.config import AdamConfig, AdamWConfig, LazyAdamWConfig, OptimConfig, SGDConfig

if TYPE_CHECKING:
    from torch.optim import Optimizer  # noqa: F401  in a string below


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerRow(Variant["Optimizer"]):
    """A row of `OPTIMIZERS`.

    Attributes:
        build: (parameter groups, lr=..., own options) -> torch optimiser that keeps these groups.
        config: extends `OptimConfig` by its own options.
        by_row: embedding tables come in groups of their own, which say `by_row`; it must see whole rows.
    """

    extends: ClassVar[type] = OptimConfig
    by_row: bool = False


OPTIMIZERS: Registry[OptimizerRow] = Registry("optim.name", OptimizerRow)
OPTIMIZERS.register("adamw", config=AdamWConfig, build="ltrec.optim.build:build_adamw")
OPTIMIZERS.register("lazy_adamw", config=LazyAdamWConfig, build="ltrec.optim.build:build_lazy_adamw", by_row=True)
OPTIMIZERS.register("adam", config=AdamConfig, build="ltrec.optim.build:build_adam")
OPTIMIZERS.register("sgd", config=SGDConfig, build="ltrec.optim.build:build_sgd")
