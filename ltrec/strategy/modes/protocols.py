"""The interfaces of gradient modes and strategies towards each other."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from pytorch_lightning import LightningModule
from torch import Tensor
from torch.optim import Optimizer

from ltrec.core.losses import ExampleLosses, SubBatchKey
from ltrec.distributed.batches import MicroBatch
from ltrec.distributed.engine import StratifiedEngine
from ltrec.strategy.module import StratifiedModule
from ltrec.strategy.options import StratifiedOptions


class StrategyForModes(Protocol):
    """A strategy, as its modes see it. The engine is there once the strategy is set up."""

    engine: StratifiedEngine

    @property
    def options(self) -> StratifiedOptions:
        """The options, as configured."""

    @property
    def lightning_module(self) -> LightningModule | None:
        """The trained module, once the strategy is connected."""

    @property
    def stratified_module(self) -> StratifiedModule:
        """The trained module, as the engine sees it."""

    @property
    def scaling(self) -> float:
        """The current scale of an AMP scaler; 1 without one."""

    @property
    def gradient_divisor(self) -> int:
        """The divisor of gradients in an ordinary backward pass: 1, or W if the strategy averages over ranks."""

    def losses(self, batch: MicroBatch, stratum: int | None) -> ExampleLosses:
        """The module's losses, computed through any wrapper."""

    def bare_losses(self, batch: MicroBatch, part: SubBatchKey) -> ExampleLosses:
        """The module's losses, computed without the wrapper and its hooks."""

    def probe(self) -> AbstractContextManager[object]:
        """A context for passes that train nothing: buffers are restored after it."""

    def scale(self, loss: Tensor) -> Tensor:
        """The loss, scaled for AMP."""

    def with_all_plugins(self, loss: Tensor) -> Tensor:
        """The loss with every plugin in its graph, also those whose strata are absent."""

    def set_last_micro_batch(self, last: bool) -> None:
        """Announce whether the next ordinary pass completes the step."""

    def engine_backward(self, loss: Tensor, optimizer: Optimizer | None) -> None:
        """The backward pass of the Lightning strategy."""

    def put_back(self, *, summed: bool) -> None:
        """The step's gradient of the rows that it touched is complete, over ranks or on each: make it the whole table's."""

    def finish_step(self, step: int, *, checked: bool) -> None:
        """Finish the step, whose gradient is computed; `checked`: it is known to be finite."""

    def skip_step(self) -> None:
        """Leave parameters and the optimiser's state as they are."""

    def on_nonfinite(self, step: int) -> None:
        """Handle a step whose gradient is not finite; every rank calls this."""


class GradientMode(Protocol):
    """One way to compute a step's gradient."""

    def compute_gradients(self, batch: MicroBatch, last: bool, optimizer: Optimizer | None) -> None:
        """Take one micro-batch. After the `last` of its step every parameter's `.grad` is the update's, or the step is skipped.

        Args:
            batch: the micro-batch; `batch.micro` is 0 where a step begins.
            last: whether it ends its step.
            optimizer: the one that will step.
        """
