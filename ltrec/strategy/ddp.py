"""Stratified gradients over replicated parameters.

`per_stratum` needs no DDP wrapper: the engine's own reduce-scatter and all-gather replace its reducer, so the module stays bare and
only starts from rank 0's weights. Nor does `aligned`, whose passes are each rank's own until the last. `weighted` and `replay` keep
the wrapper, its buckets and their overlap with the backward pass.
"""

from __future__ import annotations

import torch.distributed as dist
from pytorch_lightning.strategies import DDPStrategy

from ltrec.strategy.stratified import Stratified


class StratifiedDDPStrategy(Stratified, DDPStrategy):
    """Several processes with a replica each."""

    name = "stratified_ddp"

    def configure_ddp(self) -> None:
        """Wrap the module unless the engine reduces by itself."""
        assert self.model is not None
        if self.mode in ("per_stratum", "aligned"):
            for tensor in (*self.model.parameters(), *self.model.buffers()):
                dist.broadcast(tensor.detach(), 0)
        else:
            super().configure_ddp()

    @property
    def gradient_divisor(self) -> int:
        """DDP averages over ranks."""
        return self.world_size
