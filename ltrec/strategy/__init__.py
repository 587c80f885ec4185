"""Lightning strategies that form and combine per-stratum gradients. Importing this package registers their names:

Trainer(strategy="stratified")                    one device
Trainer(strategy="stratified_ddp")                several processes, replicated parameters
Trainer(strategy="stratified_deepspeed_stage_2")  several processes, ZeRO (stage_1, stage_2, stage_3)
Trainer(strategy="stratified_fsdp2")              several processes, sharded parameters
"""

from __future__ import annotations

from collections.abc import Callable

from pytorch_lightning.strategies import Strategy, StrategyRegistry

from ltrec.strategy.ddp import StratifiedDDPStrategy
from ltrec.strategy.deepspeed.lazy import DeepSpeedStage
from ltrec.strategy.fsdp2 import StratifiedFSDP2Strategy
from ltrec.strategy.options import StratifiedOptions
from ltrec.strategy.single import StratifiedSingleDeviceStrategy
from ltrec.strategy.stratified import Stratified

STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "stratified": StratifiedSingleDeviceStrategy,
    "stratified_ddp": StratifiedDDPStrategy,
    "stratified_deepspeed_stage_1": DeepSpeedStage(1),
    "stratified_deepspeed_stage_2": DeepSpeedStage(2),
    "stratified_deepspeed_stage_3": DeepSpeedStage(3),
    "stratified_fsdp2": StratifiedFSDP2Strategy,
}
"""name -> strategy."""

for _name, _strategy in STRATEGIES.items():
    StrategyRegistry.register(_name, _strategy, description=(_strategy.__doc__ or "").splitlines()[0], override=True)

__all__ = [
    "STRATEGIES",
    "Stratified",
    "StratifiedDDPStrategy",
    "StratifiedFSDP2Strategy",
    "StratifiedOptions",
    "StratifiedSingleDeviceStrategy",
]
