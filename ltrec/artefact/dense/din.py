"""The scores of a DIN on rectangles: every candidate is a query over the history of every row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltrec.artefact.dense.adapters import Adapters
from ltrec.artefact.dense.vectors import DenseEvents, item_vectors
from ltrec.artefact.dense.window import Window
from ltrec.models.backbones.din import DIN
from ltrec.models.target_attention import attend


class DenseDIN(nn.Module):
    """A trained DIN.

    Args:
        trunk: it.
    """

    def __init__(self, trunk: DIN) -> None:
        super().__init__()
        self.target, self.history, self.attention = trunk.target, trunk.history, trunk.attention
        self.from_target, self.from_history = trunk.from_target, trunk.from_history
        self.middle, self.last = trunk.middle, trunk.last
        self.events = None if trunk.events is None else DenseEvents(trunk.events)

    def forward(self, window: Window, table_VD: Tensor, items_C: Tensor, adapters: Adapters, num_strata: int) -> Tensor:
        """Scores of the candidates [B, C]."""
        real_BW = window.items > 0
        key_value_BWC = torch.where(real_BW[..., None], self._history(window, table_VD, adapters), 0)
        query, first = self._candidates(table_VD[items_C], window.stratum_B, adapters, num_strata)
        visible_B1W = (window.back_BW >= 0).unsqueeze(1)  # a row without history attends to one cell of zeros
        mixed_BCD = adapters.at("state", attend(query, key_value_BWC, visible_B1W), window.stratum_B)
        hidden = torch.tanh(first + self.from_history(mixed_BCD))
        for layer in self.middle:
            hidden = torch.tanh(layer(hidden))
        logits_BC: Tensor = self.last(hidden)[..., 0]
        return logits_BC

    def _history(self, window: Window, table_VD: Tensor, adapters: Adapters) -> Tensor:
        """Keys and values side by side [B, W, 2 D]."""
        vectors = adapters.at("items", item_vectors(window, table_VD), window.stratum_B)
        if self.events is not None:
            vectors = vectors + self.events(window)
        keys_and_values: Tensor = self.attention.into(torch.tanh(self.history(vectors)))
        return keys_and_values

    def _candidates(self, vectors_CD: Tensor, stratum_B: Tensor, adapters: Adapters, num_strata: int) -> tuple[Tensor, Tensor]:
        """Queries and shares of the first layer, [B, C, ...], or [1, C, ...] where strata make no difference."""
        if not adapters.has("items"):
            target_1CD = torch.tanh(self.target(vectors_CD))[None]
            return self.attention.query(target_1CD), self.from_target(target_1CD)
        strata_K = torch.arange(num_strata, device=stratum_B.device)
        adapted_KCD = adapters.at("items", vectors_CD[None].expand(num_strata, -1, -1), strata_K)
        target_KCD = torch.tanh(self.target(adapted_KCD))
        return self.attention.query(target_KCD)[stratum_B], self.from_target(target_KCD)[stratum_B]
