"""Scores of a target and of its negatives: the ground that all sampled losses share."""

from __future__ import annotations

import torch
from torch import Tensor


def target_logits(states_ND: Tensor, targets_N: Tensor, table_VD: Tensor) -> Tensor:
    """<s_n, e_t(n)>: [N]."""
    return (states_ND * table_VD[targets_N]).sum(1)


def negative_logits(states_ND: Tensor, targets_N: Tensor, table_VD: Tensor, negatives: Tensor) -> Tensor:
    """Scores of negatives [N, M], -inf where the negative happens to be the target.

    Args:
        states_ND: states.
        targets_N: target items.
        table_VD: item vectors.
        negatives: int64 [N, M], or [M] if all examples share them.
    """
    if negatives.dim() == 1:
        logits_NM = states_ND @ table_VD[negatives].T
    else:
        logits_NM = (table_VD[negatives] @ states_ND[:, :, None]).squeeze(2)
    return logits_NM.masked_fill(negatives == targets_N[:, None], -torch.inf)


def softmax_loss(target_N: Tensor, negative_NM: Tensor) -> Tensor:
    """Cross-entropy of the target among itself and its negatives: [N]."""
    return torch.logsumexp(torch.cat([target_N[:, None], negative_NM], 1), 1) - target_N


def in_full_precision(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in float32 (float64 stays): losses are not computed in 16 bits."""
    return tuple(t.to(torch.promote_types(t.dtype, torch.float32)) for t in tensors)
