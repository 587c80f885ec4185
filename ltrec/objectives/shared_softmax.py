"""Softmax cross-entropy of a target among negatives that all examples share, in one matrix [N, M].

    l_n = log( exp(t_n) + sum_m exp(x_nm) ) - t_n        t_n = <s_n, e_target>        x_nm = <s_n, e_m> - offset_m, without hits

As in the full softmax (`ltrec.objectives.softmax`), logits become the negatives' own softmax P in place, in blocks of rows that fit
the cache and in memory that is used again; what the target changes is a number for each row, which multiplies the thin sides:

    w_n = sum_m exp(x_nm) / (exp(t_n) + sum_m exp(x_nm))
    dl_n/ds_n = w_n ((P @ negatives)_n - e_target)        dl/dnegatives = P^T @ (g w states)        dl/de_target = -(g w s)_n
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ltrec.models.segments import Place, place_of
from ltrec.objectives.workspace import Workspace, blocks

BLOCK_BYTES = 2**20
"""Bytes of a block of P on the CPU, to stay in the cache."""


def shared_softmax(
    states_ND: Tensor, targets_N: Tensor, table_VD: Tensor, negatives_M: Tensor, offset_M: Tensor | None, workspace: Workspace
) -> Tensor:
    """Loss of every example [N].

    Args:
        states_ND: states.
        targets_N: rows of the targets.
        table_VD: item vectors, of the states' type.
        negatives_M: rows of the negatives; one that is an example's target is left out for it.
        offset_M: what is taken from a negative's logit.
        workspace: of P.
    """
    place = place_of(table_VD)
    values_VD = table_VD if place is None else table_VD.detach()
    offset_M = None if offset_M is None else offset_M.to(states_ND.dtype)
    loss_N: Tensor = _SharedSoftmax.apply(states_ND, targets_N, values_VD, negatives_M, offset_M, workspace, place)  # type: ignore[no-untyped-call]
    return loss_N


class _SharedSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states_ND: Tensor,
        targets_N: Tensor,
        table_VD: Tensor,
        negatives_M: Tensor,
        offset_M: Tensor | None,
        workspace: Workspace,
        place: Place | None,
    ) -> Tensor:
        vectors_MD, own_ND = table_VD.index_select(0, negatives_M), table_VD.index_select(0, targets_N)
        loan = workspace.lend(len(states_ND), len(vectors_MD), states_ND)
        log_sum_N = states_ND.new_empty(len(states_ND))
        for rows in blocks(len(states_ND), _block_rows(loan.matrix)):
            log_sum_N[rows] = _softmax(
                states_ND[rows], vectors_MD, offset_M, targets_N[rows, None] == negatives_M, loan.matrix[rows]
            )
        target_N = (states_ND * own_ND).sum(1)
        all_N = torch.logaddexp(log_sum_N, target_N)
        ctx.save_for_backward(states_ND, targets_N, vectors_MD, own_ND, negatives_M, (log_sum_N - all_N).exp_())
        ctx.loan, ctx.place, ctx.rows = loan, place, len(table_VD)
        return all_N - target_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor | None, ...]:
        states_ND, targets_N, vectors_MD, own_ND, negatives_M, share_N = ctx.saved_tensors
        matrix_NM: Tensor = ctx.loan.matrix
        weight_N1 = (grad_N * share_N)[:, None]
        weighted_ND = states_ND * weight_N1
        grad_states_ND = torch.mm(matrix_NM, vectors_MD).sub_(own_ND).mul_(weight_N1)
        if ctx.place is None:
            grad_table_VD = states_ND.new_zeros(ctx.rows, states_ND.shape[1])
            grad_table_VD.index_add_(0, negatives_M, matrix_NM.T @ weighted_ND)
            return grad_states_ND, None, grad_table_VD.index_add_(0, targets_N, weighted_ND, alpha=-1), None, None, None, None
        segments, sink_KVD = ctx.place
        segments.check(len(states_ND))
        for number, rows in segments.runs():
            sink_KVD[number].index_add_(0, negatives_M, (matrix_NM[rows].T @ weighted_ND[rows]).to(sink_KVD.dtype))
        segments.add_rows(sink_KVD, targets_N, weighted_ND.neg())
        return (grad_states_ND, *[None] * 6)


def _softmax(states_RD: Tensor, vectors_MD: Tensor, offset_M: Tensor | None, hit_RM: Tensor, place_RM: Tensor) -> Tensor:
    """Fill `place_RM` with the softmax of a block's negatives; the logarithms of the sums before they were normalised [R].

    A hit's logit is the least number that sums and differences survive: of a row of hits alone the sum is nothing, and never NaN.
    """
    if offset_M is None:
        torch.mm(states_RD, vectors_MD.T, out=place_RM)
    else:
        torch.addmm(offset_M, states_RD, vectors_MD.T, beta=-1, out=place_RM)
    top_R = place_RM.masked_fill_(hit_RM, torch.finfo(place_RM.dtype).min / 2).amax(1)
    torch.softmax(place_RM, 1, out=place_RM)
    log_sum_R: Tensor = top_R - place_RM.amax(1).log_()  # the largest one is exp(top - top) / sum
    return log_sum_R


def _block_rows(matrix_NM: Tensor) -> int:
    rows, columns = matrix_NM.shape
    size = BLOCK_BYTES // max(1, columns * matrix_NM.element_size()) if matrix_NM.device.type == "cpu" else rows
    return max(1, size)
