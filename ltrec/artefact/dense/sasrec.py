"""The last states of a SASRec on rectangles, with the modules of the trained model.

Scores need the state after the last position only. The last block is therefore computed for that position alone: of all others it
takes keys and values, two of its six products.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.artefact.dense.adapters import Adapters
from ltrec.artefact.dense.buckets import exact_bucket, exact_elapsed
from ltrec.artefact.dense.vectors import DenseEvents, item_vectors
from ltrec.artefact.dense.window import Window
from ltrec.core.columns import TIME
from ltrec.models.attention import CausalSelfAttention
from ltrec.models.backbones.sasrec import SASRec
from ltrec.models.layout import AttentionLayout


class DenseLayout(AttentionLayout):
    """The layout of one rectangle in which every cell is a position: states are not packed, but [B, W, C]."""

    __slots__ = ()

    def pad(self, values_TC: Tensor) -> list[Tensor]:
        """As they are."""
        return [values_TC]

    def unpad(self, groups: Sequence[Tensor]) -> Tensor:
        """As they are."""
        return groups[0]


class LastQuery(nn.Module):
    """An attention of which one position of every row asks, the last.

    Args:
        attention: the trained one.
    """

    def __init__(self, attention: CausalSelfAttention) -> None:
        super().__init__()
        self.heads, self.out, self.distance, self.time = attention.heads, attention.out, attention.distance, attention.time
        width = attention.into.in_features
        for name, part in {"query": slice(width), "both": slice(width, None)}.items():
            self.register_buffer(f"{name}_weight", attention.into.weight.detach()[part].clone())
            self.register_buffer(f"{name}_bias", attention.into.bias.detach()[part].clone())

    def forward(self, query_BD: Tensor, states_BWD: Tensor, window: Window) -> Tensor:
        """What the last positions take from all [B, D]."""
        rows, length, _ = states_BWD.shape
        query_BH1C = self._linear("query", query_BD).view(rows, self.heads, 1, -1)
        both = self._linear("both", states_BWD).view(rows, length, 2, self.heads, -1)
        key_BHWC, value_BHWC = both.permute(2, 0, 3, 1, 4)
        mixed_BH1C = F.scaled_dot_product_attention(query_BH1C, key_BHWC, value_BHWC, attn_mask=self._mask(window))
        return cast(Tensor, self.out(mixed_BH1C.flatten(1)))

    def _linear(self, name: str, vectors: Tensor) -> Tensor:
        return F.linear(vectors, cast(Tensor, getattr(self, f"{name}_weight")), cast(Tensor, getattr(self, f"{name}_bias")))

    def _mask(self, window: Window) -> Tensor:
        """What is not behind the last position, and perhaps a bias [B, H or 1, 1, W]."""
        there_B1W = (window.back_BW >= 0).unsqueeze(1)
        if self.distance is None and self.time is None:
            return there_B1W.unsqueeze(1)
        bias_BWH = torch.zeros((), device=window.back_BW.device)
        if self.distance is not None:
            bias_BWH = bias_BWH + self.distance.bias(window.back_BW.clamp(min=0))
        if self.time is not None:
            time_BW = window.events[TIME]
            bias_BWH = bias_BWH + self.time.bias(exact_bucket(time_BW.gather(1, window.last_B1) - time_BW))
        return bias_BWH.transpose(1, 2).masked_fill(~there_B1W, -torch.inf).unsqueeze(2)


class DenseSASRec(nn.Module):
    """A trained SASRec.

    Args:
        trunk: it.
    """

    whole_windows = False

    def __init__(self, trunk: SASRec) -> None:
        super().__init__()
        self.width, self.positions, self.blocks, self.final_norm = trunk.width, trunk.positions, trunk.blocks, trunk.final_norm
        self.events = None if trunk.events is None else DenseEvents(trunk.events)
        self.time_bias, self.pre_norm = trunk.time_bias, not isinstance(trunk.final_norm, nn.Identity)
        self.last_query = LastQuery(cast(Any, trunk.blocks[-1]).attention)

    def forward(self, window: Window, table_VD: Tensor, adapters: Adapters) -> Tensor:
        """States after the last positions [B, D]."""
        rows, length = window.items.shape
        elapsed = (exact_elapsed(window.events[TIME]),) if self.time_bias and len(self.blocks) > 1 else None
        layout = DenseLayout(window.items, ((rows, length),), elapsed)
        states = adapters.at("items", item_vectors(window, table_VD), window.stratum_B)
        if self.positions is None:
            states = states * math.sqrt(self.width)
        else:
            states = torch.add(self.positions(window.back_BW.clamp(min=0)), states, alpha=math.sqrt(self.width))
        if self.events is not None:
            states = states + self.events(window)
        for block in self.blocks[:-1]:
            states = block(states, layout)
        last_BD = self.final_norm(self._last_block(states, window))
        return adapters.at("state", last_BD.unsqueeze(1), window.stratum_B).squeeze(1)

    def _last_block(self, states_BWD: Tensor, window: Window) -> Tensor:
        """The last block's states after the last positions [B, D]."""
        block, own_BD = cast(Any, self.blocks[-1]), window.last(states_BWD)
        if self.pre_norm:
            own_BD = own_BD + self.last_query(block.attention_norm(own_BD), block.attention_norm(states_BWD), window)
            return cast(Tensor, own_BD + block.feed(block.feed_norm(own_BD)))
        own_BD = block.attention_norm(own_BD + self.last_query(own_BD, states_BWD, window))
        return cast(Tensor, block.feed_norm(own_BD + block.feed(own_BD)))
