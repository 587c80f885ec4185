"""A name in the table of strategies that does not import DeepSpeed until it is called."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pytorch_lightning.strategies import Strategy


@dataclass(frozen=True, slots=True)
class DeepSpeedStage:
    """Stratified gradients under DeepSpeed: ZeRO shards optimiser states (1), gradients (2), parameters (3)."""

    stage: int

    def __call__(self, **options: Any) -> Strategy:
        """Make the strategy; options as `StratifiedDeepSpeedStrategy` takes them."""
        strategy = import_module("ltrec.strategy.deepspeed.strategy").StratifiedDeepSpeedStrategy(stage=self.stage, **options)
        assert isinstance(strategy, Strategy)
        return strategy
