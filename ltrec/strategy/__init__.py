"""Lightning strategies that compute gradients per stratum and combine them. Importing this package registers their names:

Trainer(strategy="stratified")                    one device
Trainer(strategy="stratified_ddp")                several processes, replicated parameters
Trainer(strategy="stratified_deepspeed_stage_2")  several processes, ZeRO (stage_1, stage_2, stage_3)
Trainer(strategy="stratified_fsdp2")              several processes, sharded parameters

The names and what each strategy can do are rows of `ltrec.distributed.strategies`.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from pytorch_lightning.strategies import Strategy, StrategyRegistry

from ltrec.core.extension.extras import require
from ltrec.distributed.batches import StratifiedBatch
from ltrec.distributed.strategies import STRATEGIES
from ltrec.strategy.ddp import StratifiedDDPStrategy
from ltrec.strategy.fsdp2 import StratifiedFSDP2Strategy
from ltrec.strategy.loader import StratifiedLoader
from ltrec.strategy.module import StratifiedModule, StratifiedModuleMixin
from ltrec.strategy.options import StratifiedOptions
from ltrec.strategy.single import StratifiedSingleDeviceStrategy
from ltrec.strategy.stratified import Stratified


def make_strategy(name: str, **options: Any) -> Strategy:
    """The strategy of that name; DeepSpeed is imported only here, when it is needed.

    Args:
        name: of the table.
        options: as its class takes them.

    Raises:
        UserError: DeepSpeed is not installed.
    """
    info = STRATEGIES[name]
    if info.zero_stage is not None:
        require("deepspeed", f"strategy {name}")
    module, _, class_name = info.import_path.partition(":")
    zero = {} if info.zero_stage is None else {"stage": info.zero_stage}
    strategy = getattr(import_module(module), class_name)(**zero, **options)
    assert isinstance(strategy, Strategy)
    return strategy


for _name, _info in STRATEGIES.items():
    if _info.is_stratified:
        StrategyRegistry.register(_name, partial(make_strategy, _name), description=_info.summary, override=True)

__all__ = [
    "STRATEGIES",
    "Stratified",
    "StratifiedBatch",
    "StratifiedDDPStrategy",
    "StratifiedFSDP2Strategy",
    "StratifiedLoader",
    "StratifiedModule",
    "StratifiedModuleMixin",
    "StratifiedOptions",
    "StratifiedSingleDeviceStrategy",
    "make_strategy",
]
