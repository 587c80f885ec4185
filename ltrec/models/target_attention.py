"""Target attention: the history summarised for one candidate (DIN, Zhou et al., KDD 2018, with dot products for its network).

    r = sum_l softmax_l(<W_q t, W_k h_l> / sqrt(D)) W_v h_l

Keys and values belong to positions and are shared by all candidates; the queries of all candidates meet them in one product.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch


class TargetAttention(nn.Module):
    """Projections without bias.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.into = nn.Linear(width, 2 * width, bias=False)


def attend(query_RQD: Tensor, key_value_RLC: Tensor, visible: Tensor) -> Tensor:
    """Mix the values of each rectangle's row for each of its queries: [R, Q, D].

    Args:
        query_RQD: queries; R may be 1, the same for all rows.
        key_value_RLC: keys and values side by side, [R, L, 2 D].
        visible: bool, broadcast to [R, Q, L]; every query sees one cell at least.
    """
    key, value = key_value_RLC.chunk(2, dim=-1)
    query = query_RQD.expand(key.shape[0], -1, -1)  # not len(), which a traced program would fix
    return F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None], attn_mask=visible[:, None])[:, 0]


def causal(length: int, per_position: int, device: torch.device) -> Tensor:
    """Mask of what the `per_position` queries of every position see: itself and earlier ones, bool [1, length * m, length]."""
    place = torch.arange(length, device=device)
    return (place[:, None] >= place).repeat_interleave(per_position, 0)[None]


def rectangle(batch: SequenceBatch, rows_R: Tensor, values_TC: Tensor) -> tuple[Tensor, Tensor]:
    """Some rows of packed values as [R, L, C], filled from the left, and which cells are real: bool [R, 1, L].

    An empty row keeps one cell, of zeros, so that a softmax over it stays a number: what is attended to is zero, an empty sum.
    """
    lengths_R = batch.lengths_B[rows_R]
    place = torch.arange(max(1, int(lengths_R.max())), device=values_TC.device)
    real_RL = place < lengths_R[:, None]
    source_RL = torch.where(real_RL, batch.offsets[rows_R][:, None] + place, 0)
    values_TC = values_TC if len(values_TC) else values_TC.new_zeros(1, values_TC.shape[1])
    return torch.where(real_RL[..., None], values_TC[source_RL], 0), (real_RL | (place == 0))[:, None]
