"""The last states of a GRU4Rec on rectangles, step by step over a window of fixed width, with the trained weights."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from ltrec.artefact.dense.adapters import Adapters
from ltrec.artefact.dense.vectors import DenseEvents, item_vectors
from ltrec.artefact.dense.window import Window
from ltrec.models.backbones.gru4rec import GRU4Rec


class DenseGRU4Rec(nn.Module):
    """A trained GRU4Rec.

    Args:
        trunk: it.
    """

    whole_windows = True

    def __init__(self, trunk: GRU4Rec) -> None:
        super().__init__()
        self.max_len, self.layers, self.dense = trunk.max_len, trunk.layers, trunk.dense
        self.events = None if trunk.events is None else DenseEvents(trunk.events)

    def forward(self, window: Window, table_VD: Tensor, adapters: Adapters) -> Tensor:
        """States after the last positions [B, D]."""
        hidden = adapters.at("items", item_vectors(window, table_VD), window.stratum_B)
        if self.events is not None:
            hidden = hidden + self.events(window)
        for layer in self.layers:
            hidden = self._layer(cast(Any, layer), hidden)
        return adapters.at("state", self.dense(window.last(hidden)).unsqueeze(1), window.stratum_B).squeeze(1)

    def _layer(self, layer: nn.GRU, inputs_BWD: Tensor) -> Tensor:
        into, across, into_bias, across_bias = layer.parameters()
        state = inputs_BWD.new_zeros(inputs_BWD.shape[0], layer.hidden_size)
        states = []
        for inputs_BD in inputs_BWD.unbind(1):
            state = torch.gru_cell(inputs_BD, state, into, across, into_bias, across_bias)
            states.append(state)
        return torch.stack(states, 1)
