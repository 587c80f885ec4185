"""What `precision` means under DeepSpeed here: the same as under every other strategy.

Lightning's plugin would turn bf16-mixed into bfloat16 *parameters* with a float32 copy in the optimiser. Then a Gram matrix would
be taken of bfloat16 gradients, and runs of two strategies could not be compared. Here parameters stay float32 and `torch.autocast`
computes in bfloat16. DeepSpeed's section torch_autocast must agree, or it would switch the autocast off.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from pytorch_lightning.plugins.precision import DeepSpeedPrecision

from ltrec.core.errors import UserError


class AutocastPrecision(DeepSpeedPrecision):
    """32-true or bf16-mixed.

    Args:
        precision: Lightning's word.
        device: type of the device, "cpu" or "cuda".

    Raises:
        UserError: another precision.
    """

    def __init__(self, precision: str, device: str) -> None:
        if precision not in ("32-true", "bf16-mixed"):
            raise UserError(
                f"`precision`={precision} is not possible under DeepSpeed: its own loss scaler would be blind to the strata; "
                "use bf16-mixed or 32-true"
            )
        super().__init__(precision)  # type: ignore[arg-type]
        self._device = device

    def convert_input(self, data: Any) -> Any:
        """Batches hold no floating-point numbers."""
        return data

    def forward_context(self) -> AbstractContextManager[Any]:
        """Autocast, or nothing."""
        return torch.autocast(self._device, torch.bfloat16) if self.precision == "bf16-mixed" else nullcontext()

    def config(self) -> dict[str, Any]:
        """The corresponding sections of DeepSpeed's configuration. No parameter is reduced or gathered in bfloat16."""
        autocast = {"enabled": self.precision == "bf16-mixed", "dtype": "bfloat16", "lower_precision_safe_modules": []}
        return {"bf16": {"enabled": False}, "fp16": {"enabled": False}, "torch_autocast": autocast}
