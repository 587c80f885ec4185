"""AdamW that steps only the rows of embedding tables that have a gradient, for large catalogues.

    a row whose gradient is not zero       m, v, decay and step as in AdamW, with the bias correction of step t of the whole run
    any other row                          nothing: m and v are kept, not decayed, and the row does not move

AdamW keeps moving a row for some tens of steps after it was touched (m decays by beta1 per step). That part is left out here, so
rarely touched rows move less: at beta1 = 0.9 about a tenth as far. This is a different optimiser with a different best learning
rate, not a faster form of AdamW. The rule is that of torch.optim.SparseAdam and TensorFlow's LazyAdam. All other parameters are
AdamW's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import AdamW

from ltrec.core.rows.touched import touched_of

BY_ROW = "by_row"
"""Key of the parameter groups that are stepped row by row."""


class LazyAdamW(AdamW):
    """AdamW, lazy for parameter groups with `by_row`. Its state has AdamW's names and shapes."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; `closure` computes the gradients and returns a loss, which is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        lazy = [
            (p, g, entry) for entry in self.param_groups if entry.get(BY_ROW) for p in entry["params"] if (g := p.grad) is not None
        ]
        for parameter, _, _ in lazy:
            parameter.grad = None
        _dense_step(self)
        for parameter, gradient, entry in lazy:
            parameter.grad = gradient
            self._step_rows(parameter, gradient, entry)
        return loss

    @torch.no_grad()
    def _step_rows(self, parameter: nn.Parameter, gradient: Tensor, entry: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        rows_R, gradient_RD = _nonzero_rows(_local(gradient), touched_of(parameter))
        weight, mean, square = (_local(t) for t in (parameter.detach(), state["exp_avg"], state["exp_avg_sq"]))
        (beta1, beta2), lr, count = entry["betas"], entry["lr"], float(state["step"])
        mean_RD = mean[rows_R].lerp_(gradient_RD, 1 - beta1)
        square_RD = square[rows_R].mul_(beta2).addcmul_(gradient_RD, gradient_RD, value=1 - beta2)
        mean.index_copy_(0, rows_R, mean_RD)
        square.index_copy_(0, rows_R, square_RD)
        root_RD = square_RD.div_(1 - beta2**count).sqrt_().add_(entry["eps"])
        moved_RD = weight[rows_R].mul_(1 - lr * entry["weight_decay"]).addcdiv_(mean_RD, root_RD, value=-lr / (1 - beta1**count))
        weight.index_copy_(0, rows_R, moved_RD)


def _nonzero_rows(gradient: Tensor, touched_R: Tensor | None) -> tuple[Tensor, Tensor]:
    """Non-zero rows and their values; if the touched rows are known, only these are searched."""
    some = gradient if touched_R is None else gradient[touched_R]
    kept = (some != 0).any(1).nonzero()[:, 0]
    return (kept if touched_R is None else touched_R[kept]), some[kept]


def _local(tensor: Tensor) -> Tensor:
    """This rank's rows, sharing memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _dense_step(optimizer: AdamW) -> None:
    """AdamW's own step, without the hooks that torch wraps around it, because this optimiser's step has them already."""
    step: Any = AdamW.step
    (step.__wrapped__ if getattr(step, "hooked", False) else step)(optimizer)
