"""Full softmax cross-entropy over the whole catalogue, with bounded memory.

    l_n = log sum_v exp(<s_n, e_v>) - <s_n, e_t(n)>

Autograd would keep several matrices [N, V]. Here there is one at most: logits become probabilities P in place, and both gradients
scale the thin side [N, D], so that P is never touched again but by matrix products:

    dl_n/ds_n = (P @ table)_n - e_t(n)            dl/dtable = P^T @ (g * states) - (g * states scattered on the targets)

P is computed in blocks of rows that fit the cache, so that the passes for maximum, exponential and sum find them there. If all of P
fits into `keep_mib`, it is kept for the backward pass. Otherwise each block is computed again there: a fourth matrix product in
exchange for memory that does not grow with the positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ltrec.core.bounds import Between, check_fields
from ltrec.objectives.draw import Draw
from ltrec.objectives.workspace import Workspace

CACHE_BYTES = 6 * 2**20
"""Bytes of a block of P on the CPU; measured best between 3 and 6 MiB, where whole matrices cost a fifth more."""

LEAST_ROWS = 64
"""Rows of a block at least, however wide: matrix products of fewer rows are slow."""


@dataclass(frozen=True, slots=True)
class SoftmaxConfig:
    """Full softmax cross-entropy: exact, the cost grows with the catalogue."""

    name: str = "softmax"
    """Key in OBJECTIVES."""
    keep_mib: Annotated[int, Between(0, 1 << 24)] = 512
    """Up to this many MiB of probabilities are kept for the backward pass; larger batches compute them again, block by block."""

    def __post_init__(self) -> None:
        check_fields(self)


class FullSoftmax(nn.Module):
    """Cross-entropy against every item; an `Objective`.

    Args:
        keep_mib: see `SoftmaxConfig`.
    """

    coupled = False
    draws = False

    def __init__(self, *, keep_mib: int = 512) -> None:
        super().__init__()
        self.keep_bytes = keep_mib * 2**20
        self.workspace = Workspace()

    def forward(self, states_ND: Tensor, targets_N: Tensor, table_VD: Tensor, draw: Draw) -> Tensor:  # noqa: ARG002
        """Loss of every example [N]."""
        dtype = torch.promote_types(states_ND.dtype, torch.float32)
        row_bytes = (table_VD.shape[0] - 1) * dtype.itemsize
        keep = len(states_ND) * row_bytes <= self.keep_bytes
        with torch.autocast(states_ND.device.type, enabled=False):
            loss_N: Tensor = _FullSoftmax.apply(  # type: ignore[no-untyped-call]
                states_ND.to(dtype), targets_N, table_VD.to(dtype), self._block_rows(states_ND, row_bytes), keep, self.workspace
            )
        return loss_N

    def _block_rows(self, states_ND: Tensor, row_bytes: int) -> int:
        """Rows of P that are worked on at a time; an accelerator wants much, a CPU what fits its cache."""
        block_bytes = CACHE_BYTES if states_ND.device.type == "cpu" else self.keep_bytes
        return min(max(LEAST_ROWS, block_bytes // row_bytes), max(1, len(states_ND)))


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states_ND: Tensor, targets_N: Tensor, table_VD: Tensor, block: int, keep: bool, workspace: Workspace
    ) -> Tensor:
        items_VD = table_VD[1:]
        loan = workspace.lend(len(states_ND) if keep else block, len(items_VD), states_ND)
        log_sum_N = states_ND.new_empty(len(states_ND))
        for rows in _blocks(len(states_ND), block):
            logits_RV = torch.mm(states_ND[rows], items_VD.T, out=_place(loan.matrix, rows, keep))
            top_R = logits_RV.amax(1)
            probabilities_RV = torch.softmax(logits_RV, 1, out=logits_RV)
            log_sum_N[rows] = top_R - probabilities_RV.amax(1).log_()  # the largest one is exp(top - top) / sum
        ctx.block, ctx.workspace, ctx.loan = block, workspace, loan if keep else None
        ctx.save_for_backward(states_ND, targets_N, table_VD)
        return log_sum_N - (states_ND * table_VD[targets_N]).sum(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor | None, ...]:
        states_ND, targets_N, table_VD = ctx.saved_tensors
        items_VD = table_VD[1:]
        weighted_ND = states_ND * grad_N[:, None]
        grad_states_ND, grad_table_VD = torch.empty_like(states_ND), torch.zeros_like(table_VD)
        kept = ctx.loan is not None
        loan = ctx.loan or ctx.workspace.lend(ctx.block, len(items_VD), states_ND)
        for rows in _blocks(len(states_ND), ctx.block):
            probabilities_RV = _place(loan.matrix, rows, kept)
            if not kept:
                torch.mm(states_ND[rows], items_VD.T, out=probabilities_RV)
                torch.softmax(probabilities_RV, 1, out=probabilities_RV)
            torch.mm(probabilities_RV, items_VD, out=grad_states_ND[rows])
            grad_table_VD[1:].addmm_(probabilities_RV.T, weighted_ND[rows])
        loan.give_back()
        ctx.loan = None  # a second backward pass through a retained graph computes the blocks again
        grad_states_ND.sub_(table_VD[targets_N]).mul_(grad_N[:, None])
        grad_table_VD.index_add_(0, targets_N, weighted_ND, alpha=-1)
        return grad_states_ND, None, grad_table_VD, None, None, None


def _blocks(total: int, size: int) -> Iterator[slice]:
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def _place(matrix: Tensor, rows: slice, keep: bool) -> Tensor:
    """Where a block lives: at its own rows of the whole matrix, or at the top of a scratch block."""
    return matrix[rows] if keep else matrix[: rows.stop - rows.start]
