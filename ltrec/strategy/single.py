"""Stratified gradients on one device."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.plugins.environments import TorchElasticEnvironment  # type: ignore[attr-defined]
from pytorch_lightning.strategies import SingleDeviceStrategy

from ltrec.core.errors import UserError
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

    def setup(self, trainer: Trainer) -> None:
        """Set up, unless other devices or processes would train the same beside this one, each by itself.

        Raises:
            UserError: the trainer has several of either.
        """
        devices = len(trainer._accelerator_connector._parallel_devices) * trainer.num_nodes
        processes = TorchElasticEnvironment().world_size() if TorchElasticEnvironment.detect() else 1
        if devices > 1 or processes > 1:
            found = f"{devices} devices" if devices > 1 else f"{processes} processes"
            raise UserError(
                f"strategy {self.name} trains on one device in one process, and this trainer has {found}; use devices=1, or "
                f"strategy={self.info.several_processes}"
            )
        super().setup(trainer)

    def setup_environment(self) -> None:
        """Find the device before anything is placed."""
        if self._ask_accelerator:
            assert self.accelerator is not None
            self._root_device = self.accelerator.get_parallel_devices(self.accelerator.parse_devices(1))[0]
        super().setup_environment()
