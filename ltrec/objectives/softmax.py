"""Full softmax cross-entropy over the whole catalogue, with memory for one chunk of positions x items.

    l_n = log sum_v exp(<s_n, e_v>) - <s_n, e_t(n)>

Autograd would keep several matrices [N, V]. Here a chunk's logits become exponentials in place and the normaliser is never
multiplied in: with E = exp(logits - max) and Z its row sums,

    dl_n/ds_n = (E @ table)_n / Z_n - e_t(n)            dl/dtable = E^T @ (states * g/Z) - scatter of g * states on the targets

so both gradients scale the thin side [N, D]. If all positions fit into one chunk, E is kept for the backward pass; otherwise each
chunk's E is computed again, a fourth matrix product in exchange for bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ltrec.objectives.draw import Draw


@dataclass(frozen=True, slots=True)
class SoftmaxConfig:
    """Full softmax cross-entropy: exact, the cost grows with the catalogue."""

    name: str = "softmax"
    """Key in OBJECTIVES."""
    chunk_mib: int = 512
    """Memory for one chunk of positions x items, in MiB."""


class FullSoftmax(nn.Module):
    """Cross-entropy against every item; an `Objective`.

    Args:
        chunk_mib: see `SoftmaxConfig`.
    """

    coupled = False

    def __init__(self, *, chunk_mib: int = 512) -> None:
        super().__init__()
        self.chunk_mib = chunk_mib

    def forward(self, states_ND: Tensor, targets_N: Tensor, table_VD: Tensor, draw: Draw) -> Tensor:  # noqa: ARG002
        """Loss of every example [N]."""
        dtype = torch.promote_types(states_ND.dtype, torch.float32)
        with torch.autocast(states_ND.device.type, enabled=False):
            loss_N: Tensor = _FullSoftmax.apply(  # type: ignore[no-untyped-call]
                states_ND.to(dtype), targets_N, table_VD.to(dtype), self.rows_per_chunk(table_VD.shape[0] - 1, dtype)
            )
        return loss_N

    def rows_per_chunk(self, num_items: int, dtype: torch.dtype) -> int:
        """Positions whose logits fit into a chunk's memory; at least one."""
        return max(1, self.chunk_mib * 2**20 // (num_items * dtype.itemsize))


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states_ND: Tensor, targets_N: Tensor, table_VD: Tensor, chunk: int) -> Tensor:
        items_VD = table_VD[1:]
        target_logit_N = (states_ND * table_VD[targets_N]).sum(1)
        max_N, sum_N = torch.empty_like(target_logit_N), torch.empty_like(target_logit_N)
        scratch = _scratch(states_ND, items_VD, chunk)
        exp_CV = scratch[:0]
        for part in _chunks(len(states_ND), chunk):
            exp_CV = torch.mm(states_ND[part], items_VD.T, out=scratch[: part.stop - part.start])
            max_N[part] = exp_CV.amax(1)
            exp_CV.sub_(max_N[part, None]).exp_()
            torch.sum(exp_CV, 1, out=sum_N[part])
        ctx.chunk = chunk
        ctx.kept_CV = exp_CV if len(states_ND) <= chunk else None
        ctx.save_for_backward(states_ND, targets_N, table_VD, max_N, sum_N)
        loss_N: Tensor = sum_N.log() + max_N - target_logit_N
        return loss_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor, None, Tensor, None]:
        states_ND, targets_N, table_VD, max_N, sum_N = ctx.saved_tensors
        items_VD = table_VD[1:]
        weighted_ND = states_ND * (grad_N / sum_N)[:, None]
        grad_states_ND, grad_table_VD = torch.empty_like(states_ND), torch.zeros_like(table_VD)
        scratch = ctx.kept_CV if ctx.kept_CV is not None else _scratch(states_ND, items_VD, ctx.chunk)
        for part in _chunks(len(states_ND), ctx.chunk):
            exp_CV = scratch[: part.stop - part.start]
            if ctx.kept_CV is None:
                torch.mm(states_ND[part], items_VD.T, out=exp_CV).sub_(max_N[part, None]).exp_()
            torch.mm(exp_CV, items_VD, out=grad_states_ND[part])
            grad_table_VD[1:].addmm_(exp_CV.T, weighted_ND[part])
        grad_states_ND.mul_((grad_N / sum_N)[:, None]).sub_(table_VD[targets_N] * grad_N[:, None])
        grad_table_VD.index_add_(0, targets_N, states_ND * grad_N[:, None], alpha=-1)
        return grad_states_ND, None, grad_table_VD, None


def _scratch(states_ND: Tensor, items_VD: Tensor, chunk: int) -> Tensor:
    return states_ND.new_empty(min(len(states_ND), chunk), len(items_VD))


def _chunks(total: int, size: int) -> Iterator[slice]:
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))
