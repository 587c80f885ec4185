"""Causal self-attention over packed rows: projections on [T, D], the softmax alone on rectangles (see `layout`)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.core.errors import UserError
from ltrec.models.inputs.alone import alone
from ltrec.models.inputs.times import BUCKETS
from ltrec.models.last_positions import LastPositions, attend_from_last
from ltrec.models.layout import AttentionLayout
from ltrec.models.segments import drawn_by


class CausalSelfAttention(nn.Module):
    """Multi-head attention in which a position sees itself and what came before it in its own row (Vaswani et al., 2017, §3.2).

    Args:
        width: D, split evenly over the heads.
        heads: number of heads.
        dropout: share of attention weights dropped in training.
        distances: how many distances have a learned bias (`DistanceBias`); 0 = none.
        times: whether the time between two events has one (`TimeBias`); the layout must then know it.

    Raises:
        UserError: when `heads` does not divide `width`.
    """

    def __init__(self, width: int, *, heads: int, dropout: float, distances: int = 0, times: bool = False) -> None:
        super().__init__()
        if width % heads:
            raise UserError(f"`heads`={heads} does not divide `width`={width}")
        self.heads = heads
        self.dropout = dropout
        self.into = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.distance = DistanceBias(heads, distances) if distances else None
        self.time = TimeBias(heads) if times else None

    def forward(self, states_TD: Tensor, layout: AttentionLayout, last: LastPositions | None = None) -> Tensor:
        """Mix every row's states [T, D] causally; with `last` only at the last position of every row [B, D], without dropout."""
        if last is not None:
            return self._at_last(states_TD, last)
        parts = layout.parts or [None] * len(layout.groups)
        of_distance = self._by_distance(layout, parts)
        padded = layout.pad(self.into(states_TD))
        groups: list[Tensor] = []
        for number, (group, part) in enumerate(zip(padded, parts, strict=True)):
            bias_RHLL = self._time_bias(layout, number, part)
            with drawn_by(part):
                groups.append(self._mix(group, of_distance.get(part), bias_RHLL))
        mixed_TD: Tensor = self.out(layout.unpad(groups))
        return mixed_TD

    def _at_last(self, states_TD: Tensor, last: LastPositions) -> Tensor:
        width = states_TD.shape[1]
        weight_query, weight_rest = self.into.weight.split_with_sizes([width, 2 * width])
        bias_query, bias_rest = self.into.bias.split_with_sizes([width, 2 * width])
        heads = (self.heads, width // self.heads)
        query_BHC = F.linear(states_TD[last.place_B], weight_query, bias_query).view(-1, *heads)
        key_THC, value_THC = F.linear(states_TD, weight_rest, bias_rest).view(-1, 2, *heads).unbind(1)
        biases: list[Tensor] = [] if self.distance is None else [self.distance.bias(last.back_T())]
        if self.time is not None:
            assert last.elapsed_T is not None, "the model has put the times there"
            biases.append(self.time.bias(last.elapsed_T))
        mixed_BD: Tensor = self.out(attend_from_last(query_BHC, key_THC, value_THC, last, biases))
        return mixed_BD

    def _by_distance(self, layout: AttentionLayout, parts: Sequence[int | None]) -> dict[int | None, Tensor]:
        """Biases by distance of each part's longest rectangle [H, length, length]."""
        if self.distance is None:
            return {}
        found: dict[int | None, Tensor] = {}
        for part in dict.fromkeys(parts):
            with alone(part, self.distance):
                found[part] = self.distance(
                    max(length for (_, length), own in zip(layout.groups, parts, strict=True) if own == part)
                )
        return found

    def _time_bias(self, layout: AttentionLayout, group: int, part: int | None) -> Tensor | None:
        """Biases [rows, H, length, length] of one rectangle."""
        if self.time is None:
            return None
        assert layout.elapsed is not None, "the model has put the times there"
        with alone(part, self.time):
            bias_RHLL: Tensor = self.time(layout.elapsed[group])
        return bias_RHLL

    def _mix(self, qkv: Tensor, bias_HLL: Tensor | None, bias_RHLL: Tensor | None) -> Tensor:
        """Attention of one rectangle: [rows, length, 3 D] -> [rows, length, D]. The bias by distance is the longest rectangle's."""
        rows, length, _ = qkv.shape
        query, key, value = qkv.view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        mask = None if bias_HLL is None else bias_HLL[:, :length, :length]
        if bias_RHLL is not None:
            mask = bias_RHLL if mask is None else mask + bias_RHLL
        causal, mask = mask is None, None if mask is None else mask.to(query.dtype)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=causal)
        return mixed.transpose(1, 2).flatten(2)


class DistanceBias(nn.Module):
    """A learned number per head and distance that is added to the logit of a position looking back so far.

        logit[h, i, j] = <q_i, k_j> / sqrt(D / H) + bias[h, i - j]        j <= i

    T5's relative bias (Raffel et al., arXiv 1910.10683, §2.1) with a bucket for every distance, for rows are short, and per layer;
    ALiBi (Press et al., arXiv 2108.12409) fixes it to a decreasing line.

    Args:
        heads: H.
        distances: largest length of a row.
    """

    def __init__(self, heads: int, distances: int) -> None:
        super().__init__()
        self.bias = nn.Embedding(distances, heads)  # a table: never decayed, as item and position vectors are not

    def forward(self, length: int) -> Tensor:
        """Biases [H, length, length] of query i and key j; -inf where j comes after i."""
        place = torch.arange(length, device=self.bias.weight.device)
        back_LL = place[:, None] - place
        bias_HLL: Tensor = self.bias(back_LL.clamp(min=0)).permute(2, 0, 1)
        return bias_HLL.masked_fill(back_LL < 0, -math.inf)


class TimeBias(nn.Module):
    """A learned number per head and bucket of the time between two events, added to the logit of the later looking at the earlier.

        logit[h, i, j] = <q_i, k_j> / sqrt(D / H) + bias[h, bucket(t_i - t_j)]        j <= i

    Time intervals in attention are TiSASRec's (Li et al., WSDM 2020), as a bias in buckets of growing width HSTU's (Zhai et al.,
    ICML 2024).

    Args:
        heads: H.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.bias = nn.Embedding(BUCKETS, heads)

    def forward(self, bucket_RLL: Tensor) -> Tensor:
        """Biases [R, H, L, L] of query i and key j; -inf where j comes after i."""
        length = bucket_RLL.shape[-1]
        place = torch.arange(length, device=bucket_RLL.device)
        bias_RHLL: Tensor = self.bias(bucket_RLL).permute(0, 3, 1, 2)
        return bias_RHLL.masked_fill(place[:, None] < place, -math.inf)
