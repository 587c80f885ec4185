"""Steps that must be skipped: no rank has an example, or a gradient is not finite. Every rank decides alike."""

from __future__ import annotations

import torch
from pytorch_lightning.strategies import Strategy
from torch import Tensor

from ltrec.core.errors import diverged
from ltrec.distributed.engine import StratifiedEngine
from ltrec.strategy import gradients
from ltrec.strategy.options import StratifiedOptions


class SkipsSteps(Strategy):
    """The part of a stratified strategy that decides at an accumulation's end whether there is a step to take.

    Attributes:
        engine: built at setup.
    """

    engine: StratifiedEngine

    @property
    def options(self) -> StratifiedOptions:
        """The options, as configured."""
        raise NotImplementedError

    def finish_step(self, step: int, *, checked: bool) -> None:
        """The accumulation's gradient is there: show its losses to a rule that watches them, and see whether a step follows.

        Args:
            step: the accumulation's.
            checked: whether the gradient is known to be finite.
        """
        rule = self.options.rule
        if self.engine.is_empty():
            self.skip_step()
        elif not checked or (rule.kind == "linear" and rule.watches_losses):
            losses = self.engine.total_losses(None if checked else self.gradient_norm())
            if losses.sum_K.isfinite().all():
                self.engine.observe(losses)
            elif not checked:
                self.on_nonfinite(step)

    def gradient_norm(self) -> Tensor | None:
        """The length of the reduced gradient, finite if it is, and equal on every rank, as it is. None: not known yet."""
        assert self.lightning_module is not None
        return gradients.norm(self.lightning_module)

    def on_nonfinite(self, step: int) -> None:
        """Apply the configured policy; every rank calls this. The accumulation then has no report.

        Raises:
            UserError: policy `stop`.
        """
        self.engine.report = None
        if self._scaler is None and self.options.nonfinite == "stop":
            raise diverged("a stratum's gradient is not a finite number", step + 1)
        self.skip_step()

    def skip_step(self) -> None:
        """Leave parameters and the optimiser's state as they are, on every rank. A scaler skips by itself, and halves its scale."""
        assert self.lightning_module is not None
        self.discard_gradients()
        if self._scaler is not None:
            gradients.spoil(self.lightning_module)

    def discard_gradients(self) -> None:
        """Leave the optimiser nothing to do."""
        assert self.lightning_module is not None
        gradients.discard(self.lightning_module)

    @property
    def _scaler(self) -> torch.amp.GradScaler | None:
        return getattr(self.precision_plugin, "scaler", None)

    @property
    def scaling(self) -> float:
        """The current scale of the AMP scaler; 1 without one."""
        return 1.0 if self._scaler is None else self._scaler.get_scale()

    def scale(self, loss: Tensor) -> Tensor:
        """The loss as the scaler wants it back-propagated."""
        return loss if self._scaler is None else self._scaler.scale(loss)
