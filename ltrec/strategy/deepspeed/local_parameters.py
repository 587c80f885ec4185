"""The parameters that a rank holds under ZeRO: `LocalParameters` over DeepSpeed's own partitions.

stages 1, 2    all parameters; the optimiser steps on a copy of a part of them (float32, as they are), and writes it back
stage 3        `ds_tensor`, a 1/W of every parameter, flat and padded; likewise copied for the optimiser
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ltrec.distributed.collectives import current_world
from ltrec.strategy.deepspeed.imports import ZeroParamStatus
from ltrec.strategy.local_parameters import ReplicatedParameters


class ZeroParameters(ReplicatedParameters):
    """Stages 1 and 2.

    Args:
        module: that is trained.
        zero: DeepSpeed's optimiser, around torch's.
    """

    def __init__(self, module: nn.Module, zero: Any) -> None:
        super().__init__(module, [zero.optimizer])
        self._zero = zero

    def update_optimizer_copies(self) -> None:
        """Copy them to what the optimiser steps on."""
        self._zero.refresh_fp32_params()


class Zero3Parameters(ZeroParameters):
    """Stage 3."""

    def tensors(self) -> list[Tensor]:
        """The partitions. Padding is averaged along and never looked at."""
        return [parameter.ds_tensor for parameter in self._parameters]  # type: ignore[attr-defined]

    def part_of(self, name: str, whole: Tensor) -> Tensor:
        """Its partition, flat; the padding is zero."""
        size = self._parameters[self.names.index(name)].ds_tensor.ds_numel  # type: ignore[attr-defined]
        flat = whole.flatten()[current_world().rank * size :][:size]
        return torch.cat([flat, flat.new_zeros(size - flat.numel())])

    def after_write(self) -> None:
        """Release parameters that are kept whole because they are small; they are gathered again when needed."""
        there = [p for p in self._parameters if p.ds_status is ZeroParamStatus.AVAILABLE]  # type: ignore[attr-defined]
        if there:
            there[0].partition(there)  # type: ignore[attr-defined]
