"""Causal self-attention over packed rows: projections on [T, D], the softmax alone on rectangles (see `layout`)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.core.errors import UserError
from ltrec.models.layout import AttentionLayout


class CausalSelfAttention(nn.Module):
    """Multi-head attention in which a position sees itself and what came before it in its own row (Vaswani et al., 2017, §3.2).

    Args:
        width: D, split evenly over the heads.
        heads: number of heads.
        dropout: share of attention weights dropped in training.

    Raises:
        UserError: when `heads` does not divide `width`.
    """

    def __init__(self, width: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise UserError(f"model.heads={heads} does not divide model.width={width}")
        self.heads = heads
        self.dropout = dropout
        self.into = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, states_TD: Tensor, layout: AttentionLayout) -> Tensor:
        """Mix every row's states [T, D] causally."""
        groups = [self._mix(group) for group in layout.pad(self.into(states_TD))]
        mixed_TD: Tensor = self.out(layout.unpad(groups))
        return mixed_TD

    def _mix(self, qkv: Tensor) -> Tensor:
        """Attention of one rectangle: [rows, length, 3 D] -> [rows, length, D]."""
        rows, length, _ = qkv.shape
        query, key, value = qkv.view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
        return mixed.transpose(1, 2).flatten(2)
