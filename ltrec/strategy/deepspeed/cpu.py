"""DeepSpeed on CPUs over gloo, for tests and for trying a configuration before it runs on a cluster.

Lightning's strategy insists on CUDA in three places; each is passed by here, and only when the accelerator is the CPU. DeepSpeed
itself is content once `DS_ACCELERATOR=cpu` is set before it is imported (see `deepspeed_import`).
"""

from __future__ import annotations

from typing import Any

from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.strategies import DDPStrategy, DeepSpeedStrategy
from torch import nn
from torch.optim import Optimizer

from ltrec.core.errors import UserError
from ltrec.strategy.deepspeed.imports import deepspeed


class AnyDeviceDeepSpeedStrategy(DeepSpeedStrategy):
    """Lightning's DeepSpeed strategy on any accelerator."""

    @property
    def on_cpu(self) -> bool:
        """Whether there is no GPU in this run."""
        return isinstance(self.accelerator, CPUAccelerator)

    def setup_environment(self) -> None:
        """Start the process group.

        Raises:
            UserError: the run wants the CPU, DeepSpeed took the GPU when it was imported.
        """
        if not self.on_cpu:
            super().setup_environment()
            return
        taken = deepspeed.accelerator.get_accelerator().device_name()
        if taken != "cpu":
            raise UserError(f"`accelerator`=cpu, but DeepSpeed has taken {taken}: set DS_ACCELERATOR=cpu in the environment")
        DDPStrategy.setup_environment(self)

    def setup_distributed(self) -> None:
        """Make the group known to DeepSpeed."""
        if not self.on_cpu:
            super().setup_distributed()
            return
        # Else the first run on a machine compiles a shared-memory operator for a minute and a half; gloo does as well.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        self.set_world_ranks()
        self._init_deepspeed_distributed()

    def _setup_model_and_optimizer(self, model: nn.Module, optimizer: Optimizer | None, lr_scheduler: Any = None) -> Any:
        """Wrap the model; on a CPU there is no device index to hand over."""
        if not self.on_cpu:
            return super()._setup_model_and_optimizer(model, optimizer, lr_scheduler)
        engine, wrapped, _, _ = deepspeed.initialize(
            config=self.config,
            model=model,
            model_parameters=[p for p in model.parameters() if p.requires_grad],
            optimizer=optimizer,
            lr_scheduler=lr_scheduler,
            dist_init_required=False,
        )
        return engine, wrapped
