"""Full softmax cross-entropy over the whole catalogue, with bounded memory.

    l_n = log sum_v exp(<s_n, e_v>) - <s_n, e_t(n)>

Autograd would keep several matrices [N, V]. Here there is one at most: logits become probabilities P in place, and both gradients
scale the thin side [N, D], so that P is never touched again but by matrix products:

    dl_n/ds_n = (P @ table)_n - e_t(n)            dl/dtable = P^T @ (g * states) - (g * states scattered on the targets)

P is computed in blocks of rows that fit the cache, so that the passes for maximum, exponential and sum find them there. If all of P
fits into `keep_mib`, it is kept for the backward pass. Otherwise each block is computed again there: a fourth matrix product in
exchange for memory that does not grow with the positions.

The three products may be formed of bfloat16 factors (`matmul`): logits and P are then rounded to 8 bits of mantissa, and take half
the memory. With tf32 a GPU's tensor cores round to 10 bits; elsewhere nothing is rounded. Sums inside a product, maximum,
exponential and the target's own logit stay in float32. On a CPU, bfloat16 products run in oneDNN, which compiles a kernel for
every shape and keeps a thousand of them: rows of zeros make the number of positions a multiple of `STEP`, so that few shapes occur.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ltrec.models.segments import Place, Segments, place_of
from ltrec.objectives.draw import Draw
from ltrec.objectives.item_table import Competing, ItemTable
from ltrec.objectives.workspace import Workspace, blocks

CACHE_BYTES = 6 * 2**20
"""Bytes of a block of P on the CPU; measured best between 3 and 6 MiB, where whole matrices cost a fifth more."""

MATMULS = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16}

LEAST_ROWS = 64
"""Rows of a block at least, however wide: matrix products of fewer rows are slow."""

STEP = 32
"""Rows of products with bfloat16 factors on a CPU are a multiple of this. A new shape costs half a MiB and its compilation."""


class FullSoftmax(nn.Module):
    """Cross-entropy against every item; an `Objective`.

    Args:
        keep_mib, matmul: see `SoftmaxConfig`.
        among: item ids in the sum, ascending; None = all.
    """

    coupled = False
    draws = False
    segments_obstacle = None

    def __init__(self, *, keep_mib: int = 512, matmul: str = "float32", among: Tensor | None = None) -> None:
        super().__init__()
        self.keep_bytes = keep_mib * 2**20
        self.matmul, self.tf32 = MATMULS[matmul], matmul == "tf32"
        self.workspace = Workspace()
        self.competing = Competing(among)

    def forward(self, states_ND: Tensor, targets_N: Tensor, table: ItemTable, draw: Draw) -> Tensor:  # noqa: ARG002
        """Loss of every example [N]."""
        table_VD, targets_N = self.competing(table, targets_N)
        dtype = torch.promote_types(states_ND.dtype, torch.float32)
        factors = dtype if self.matmul == torch.float32 else self.matmul
        row_bytes = (table_VD.shape[0] - 1) * factors.itemsize
        keep = len(states_ND) * row_bytes <= self.keep_bytes
        with torch.autocast(states_ND.device.type, enabled=False):
            block, place = self._block_rows(states_ND, row_bytes), place_of(table_VD)
            values_VD = table_VD if place is None else table_VD.detach()
            loss_N: Tensor = _FullSoftmax.apply(  # type: ignore[no-untyped-call]
                states_ND.to(dtype), targets_N, values_VD.to(dtype), factors, block, keep, self.workspace, place, self.tf32
            )
        return loss_N

    def _block_rows(self, states_ND: Tensor, row_bytes: int) -> int:
        """Rows of P that are worked on at a time; an accelerator wants much, a CPU what fits its cache."""
        block_bytes = CACHE_BYTES if states_ND.device.type == "cpu" else self.keep_bytes
        rows = min(max(LEAST_ROWS, block_bytes // row_bytes), max(1, len(states_ND)))
        return rows if self.matmul != torch.bfloat16 else -(-rows // STEP) * STEP


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states_ND: Tensor,
        targets_N: Tensor,
        table_VD: Tensor,
        factors: torch.dtype,
        block: int,
        keep: bool,
        workspace: Workspace,
        place: Place | None,
        tf32: bool,
    ) -> Tensor:
        left_MD, right_VD = _even(states_ND.to(factors)), table_VD[1:].to(factors)
        loan = workspace.lend(len(left_MD) if keep else block, len(right_VD), left_MD)
        log_sum_M = states_ND.new_empty(len(left_MD))
        with _products(tf32):
            for rows in blocks(len(left_MD), block):
                log_sum_M[rows] = _softmax(left_MD[rows], right_VD, _place(loan.matrix, rows, keep), states_ND.dtype)
        ctx.factors, ctx.block, ctx.workspace, ctx.loan, ctx.place = factors, block, workspace, loan if keep else None, place
        ctx.tf32 = tf32
        ctx.save_for_backward(states_ND, targets_N, table_VD)
        return log_sum_M[: len(states_ND)] - (states_ND * table_VD[targets_N]).sum(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor | None, ...]:
        with _products(ctx.tf32):
            grad_states_ND, grad_table_VD = _gradients(ctx, grad_N)
        return grad_states_ND, None, grad_table_VD, None, None, None, None, None, None


def _gradients(ctx: Any, grad_N: Tensor) -> tuple[Tensor, Tensor | None]:
    """Of the states, and of the table unless it has K elsewhere."""
    states_ND, targets_N, table_VD = ctx.saved_tensors
    weighted_ND, right_VD = states_ND * grad_N[:, None], table_VD[1:].to(ctx.factors)
    left_MD, scaled_MD = _even(states_ND.to(ctx.factors)), _even(weighted_ND.to(ctx.factors))
    grad_states_MD = states_ND.new_empty(left_MD.shape)
    table = _WholeTable(table_VD) if ctx.place is None else _BySegment(len(states_ND), *ctx.place)
    kept, rounded = ctx.loan is not None, ctx.factors != states_ND.dtype
    loan = ctx.loan or ctx.workspace.lend(ctx.block, len(right_VD), left_MD)
    # A product that is rounded is formed in one piece where it can be: its sum over the rows is in float32 inside.
    for rows in blocks(len(left_MD), len(left_MD) if kept and rounded else ctx.block):
        probabilities_RV = _place(loan.matrix, rows, kept)
        if not kept:
            _softmax(left_MD[rows], right_VD, probabilities_RV, states_ND.dtype)
        if rounded:
            grad_states_MD[rows] = probabilities_RV @ right_VD
        else:
            torch.mm(probabilities_RV, right_VD, out=grad_states_MD[rows])
        table.add(probabilities_RV, scaled_MD, rows)
    loan.give_back()
    ctx.loan = None  # a second backward pass through a retained graph computes the blocks again
    grad_states_ND = grad_states_MD[: len(states_ND)].sub_(table_VD[targets_N]).mul_(grad_N[:, None])
    grad_table_VD = table.without_targets(targets_N, weighted_ND)
    return grad_states_ND, grad_table_VD


@contextmanager
def _products(tf32: bool) -> Iterator[None]:
    """Let float32 products on a GPU round their factors to TF32, if `tf32`; else as the process has it."""
    if not tf32:
        yield
        return
    matmul: Any = torch.backends.cuda.matmul
    before, matmul.fp32_precision = matmul.fp32_precision, "tf32"
    try:
        yield
    finally:
        matmul.fp32_precision = before


class _WholeTable:
    """The gradient of the table, from blocks of P."""

    def __init__(self, table_VD: Tensor) -> None:
        self.grad_VD = torch.zeros_like(table_VD)

    def add(self, probabilities_RV: Tensor, scaled_MD: Tensor, rows: slice) -> None:
        """P^T @ (g * states) of a block."""
        if probabilities_RV.dtype == self.grad_VD.dtype:
            self.grad_VD[1:].addmm_(probabilities_RV.T, scaled_MD[rows])
        else:
            self.grad_VD[1:] += probabilities_RV.T @ scaled_MD[rows]

    def without_targets(self, targets_N: Tensor, weighted_ND: Tensor) -> Tensor | None:
        """All of it."""
        return self.grad_VD.index_add_(0, targets_N, weighted_ND, alpha=-1)


class _BySegment:
    """K gradients, which go to their place."""

    def __init__(self, num_rows: int, segments: Segments, sink_KVD: Tensor) -> None:
        segments.check(num_rows)
        self.segments, self.sink_KVD = segments, sink_KVD

    def add(self, probabilities_RV: Tensor, scaled_MD: Tensor, rows: slice) -> None:
        """The same of each segment's rows in the block."""
        for number, run in self.segments.runs():
            first, stop = max(run.start, rows.start), min(run.stop, rows.stop)
            if first < stop:
                target = self.sink_KVD[number, 1:]
                if probabilities_RV.dtype == target.dtype:
                    target.addmm_(probabilities_RV[first - rows.start : stop - rows.start].T, scaled_MD[first:stop])
                else:
                    even, scaled_RD = _even_run(scaled_MD[rows], first - rows.start, stop - rows.start)
                    target += probabilities_RV[even].T @ scaled_RD

    def without_targets(self, targets_N: Tensor, weighted_ND: Tensor) -> None:
        """What is left for the table's own gradient: nothing."""
        self.segments.add_rows(self.sink_KVD, targets_N, weighted_ND.neg())


def _softmax(left_RD: Tensor, right_VD: Tensor, place_RV: Tensor, dtype: torch.dtype) -> Tensor:
    """Fill `place_RV` with the probabilities of a block; the logarithms of their sums before they were normalised [R]."""
    torch.mm(left_RD, right_VD.T, out=place_RV)
    logits_RV = place_RV.to(dtype)
    top_R = logits_RV.amax(1)
    torch.softmax(logits_RV, 1, out=logits_RV)
    if logits_RV is not place_RV:
        place_RV.copy_(logits_RV)
    return top_R - logits_RV.amax(1).log_()  # the largest one is exp(top - top) / sum


def _even(rows_ND: Tensor) -> Tensor:
    """The same with rows of zeros below, where the number of rows should be a multiple of `STEP`."""
    if rows_ND.dtype != torch.bfloat16 or rows_ND.device.type != "cpu":
        return rows_ND
    return nn.functional.pad(rows_ND, (0, 0, 0, -len(rows_ND) % STEP))


def _even_run(rows_ND: Tensor, start: int, stop: int) -> tuple[slice, Tensor]:
    """A run of rows, widened to multiples of `STEP` or to the last row, and its rows: zero where it was widened."""
    even = slice(start // STEP * STEP, min(-(-stop // STEP) * STEP, len(rows_ND)))
    return even, nn.functional.pad(rows_ND[start:stop], (0, 0, start - even.start, even.stop - stop))


def _place(matrix: Tensor, rows: slice, keep: bool) -> Tensor:
    """Where a block lives: at its own rows of the whole matrix, or at the top of a scratch block."""
    return matrix[rows] if keep else matrix[: rows.stop - rows.start]
