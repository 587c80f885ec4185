"""Stratified gradients on one device."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning.strategies import SingleDeviceStrategy

from ltrec.strategy.stratified import Stratified


class StratifiedSingleDeviceStrategy(Stratified, SingleDeviceStrategy):
    """One process, one device.

    Args:
        device: where; None = the first device of the trainer's accelerator (all that `Trainer(strategy="stratified")` can say).
        options: of the strategies that this is made of.
    """

    name = "stratified"

    def __init__(self, device: torch.device | str | None = None, **options: Any) -> None:
        super().__init__(device=device or "cpu", **options)
        self._ask_accelerator = device is None

    def setup_environment(self) -> None:
        """Find the device before anything is placed."""
        if self._ask_accelerator:
            assert self.accelerator is not None
            self._root_device = self.accelerator.get_parallel_devices(self.accelerator.parse_devices(1))[0]
        super().setup_environment()
