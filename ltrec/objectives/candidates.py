"""Scores of a target and of negatives of its own, for the sampled losses; negatives that all examples share: `shared_softmax`.

Every example has candidates of its own, so the scores are many short inner products of scattered table rows. Written plainly that
is a gather of N x M rows, kept for the backward pass, and its gradient another N x M rows to be scattered. Here the forward pass
gathers block by block inside the cache, and both gradients are sums of weighted rows, an `embedding_bag` each, that never exist
apart: far faster on the CPU, and nothing larger than [N, M] is kept.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ltrec.models.segments import Place, place_of
from ltrec.objectives.draw import ScoreCandidates

GATHER_BYTES = 2 * 2**20
"""Bytes of gathered rows at a time on the CPU, to stay in the cache."""

GATHER_BYTES_DEVICE = 256 * 2**20
"""The same limit on an accelerator, where large kernels are faster."""


def candidate_logits(states_ND: Tensor, targets_N: Tensor, table_VD: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of the targets [N] and of the negatives [N, M]; -inf where a negative happens to be the target.

    Args:
        states_ND: states.
        targets_N: target items.
        table_VD: item vectors.
        negatives: int64 [N, M].
    """
    logits = item_logits(states_ND, table_VD, torch.cat([targets_N[:, None], negatives], 1))
    return logits[:, 0], logits[:, 1:].masked_fill(negatives == targets_N[:, None], -torch.inf)


def scored_candidates(score: ScoreCandidates, targets_N: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
    """As `candidate_logits`, for a scorer without states: float32 (float64 stays), whatever precision the scorer computes in."""
    negatives_NM = negatives.expand(len(targets_N), -1)
    (logits,) = in_full_precision(score(torch.cat([targets_N[:, None], negatives_NM], 1)))
    return logits[:, 0], logits[:, 1:].masked_fill(negatives_NM == targets_N[:, None], -torch.inf)


def softmax_loss(target_N: Tensor, negative_NM: Tensor) -> Tensor:
    """Cross-entropy of the target among itself and its negatives: [N]."""
    return torch.logsumexp(torch.cat([target_N[:, None], negative_NM], 1), 1) - target_N


def in_full_precision(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in float32 (float64 stays): losses are not computed in 16 bits."""
    return tuple(t.to(torch.promote_types(t.dtype, torch.float32)) for t in tensors)


def item_logits(states_ND: Tensor, table_VD: Tensor, items_NM: Tensor) -> Tensor:
    """<s_n, e_items(n, m)>: [N, M]."""
    place = place_of(table_VD)
    values_VD = table_VD if place is None else table_VD.detach()
    logits_NM: Tensor = _ItemLogits.apply(states_ND, values_VD, items_NM, place)  # type: ignore[no-untyped-call]
    return logits_NM


class _ItemLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states_ND: Tensor, table_VD: Tensor, items_NM: Tensor, place: Place | None) -> Tensor:
        ctx.save_for_backward(states_ND, table_VD, items_NM)
        ctx.place = place
        logits_NM = states_ND.new_empty(items_NM.shape)
        for rows in _gather_blocks(states_ND, items_NM):
            items_RM = items_NM[rows]
            vectors_RMD = table_VD.index_select(0, items_RM.flatten()).view(*items_RM.shape, -1)
            torch.bmm(states_ND[rows, None], vectors_RMD.transpose(1, 2), out=logits_NM[rows, None])
        return logits_NM

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NM: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        states_ND, table_VD, items_NM = ctx.saved_tensors
        if not items_NM.numel():
            return torch.zeros_like(states_ND), torch.zeros_like(table_VD), None, None
        grad_states_ND = F.embedding_bag(items_NM, table_VD, per_sample_weights=grad_NM.contiguous(), mode="sum")
        if ctx.place is None:
            return grad_states_ND, _scatter(grad_NM, states_ND, items_NM, table_VD.shape[0]), None, None
        segments, sink_KVD = ctx.place
        segments.check(len(states_ND))
        if items_NM.shape[1] == 1 and segments.one_by_one:  # a row each, of many
            segments.add_rows(sink_KVD, items_NM[:, 0], grad_NM * states_ND)
            return grad_states_ND, None, None, None
        apart_NM = items_NM + segments.stratum_T[:, None] * table_VD.shape[0]  # every run has a table of its own
        sink_KVD += _scatter(grad_NM, states_ND, apart_NM, sink_KVD.shape[0] * sink_KVD.shape[1]).view(sink_KVD.shape)
        return grad_states_ND, None, None, None


def _scatter(grad_NM: Tensor, states_ND: Tensor, items_NM: Tensor, num_rows: int) -> Tensor:
    """Row v of the table's gradient is the sum of grad[n, m] * states[n] over all (n, m) with items[n, m] = v: [V+1, D].

    Sorted by item, the uses of a row lie together and become one bag. No atomic additions: the same sum on every run.
    """
    items, order = items_NM.flatten().int().sort(stable=True)
    bounds = torch.searchsorted(items, torch.arange(num_rows + 1, device=items.device, dtype=items.dtype))
    users = order.div(items_NM.shape[1], rounding_mode="floor")
    weights = grad_NM.flatten()[order]
    return F.embedding_bag(users, states_ND, bounds, per_sample_weights=weights, mode="sum", include_last_offset=True)


def _gather_blocks(states_ND: Tensor, items_NM: Tensor) -> list[slice]:
    total, per_example = items_NM.shape
    budget = GATHER_BYTES if states_ND.device.type == "cpu" else GATHER_BYTES_DEVICE
    size = max(1, budget // (max(1, per_example) * states_ND.shape[1] * states_ND.element_size()))
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]
