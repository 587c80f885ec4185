"""Plugins on rectangles: every row through the weights of its own stratum, gathered by row instead of sorted by stratum."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from ltrec.models.plugins.bottleneck import Bottleneck, Residual
from ltrec.models.plugins.melt import Melt


class DenseBottleneck(nn.Module):
    """The plugins of one place, stacked.

    Args:
        plugins: one per stratum.
    """

    def __init__(self, plugins: nn.ModuleList) -> None:
        super().__init__()
        own = [cast(Residual, plugin) for plugin in plugins]
        self.outer = own[0].outer
        for name in ("down", "up"):
            layers = [cast(nn.Linear, getattr(plugin, name)) for plugin in own]
            self.register_buffer(f"{name}_weight", torch.stack([layer.weight.detach().T for layer in layers]))
            self.register_buffer(f"{name}_bias", torch.stack([layer.bias.detach()[None] for layer in layers]))

    def forward(self, vectors_BWD: Tensor, stratum_B: Tensor) -> Tensor:
        """Adapted vectors [B, W, D]."""
        middle = torch.tanh(self._linear("down", vectors_BWD, stratum_B))
        summed = vectors_BWD + self._linear("up", middle, stratum_B)
        return torch.tanh(summed) if self.outer else summed

    def _linear(self, name: str, vectors_BWD: Tensor, stratum_B: Tensor) -> Tensor:
        weight, bias = (cast(Tensor, getattr(self, f"{name}_{part}")).index_select(0, stratum_B) for part in ("weight", "bias"))
        return torch.baddbmm(bias, vectors_BWD, weight)


class Adapters(nn.Module):
    """Plugins at all places of a trunk; the identity without plugins.

    Args:
        plugins: the plugins around the trunk; None = there are none, or they never woke.
    """

    def __init__(self, plugins: nn.Module | None) -> None:
        super().__init__()
        at = {}
        if isinstance(plugins, Bottleneck):
            at = {place: DenseBottleneck(cast(nn.ModuleList, plugins.plugins[f"at_{place}"])) for place in plugins.places}
        self.places = nn.ModuleDict({f"at_{place}": module for place, module in at.items()})
        self.map = plugins.map if isinstance(plugins, Melt) else None
        self.first_head = plugins.first_head if isinstance(plugins, Melt) else 0

    def has(self, place: str) -> bool:
        """Whether there are plugins at a place."""
        return f"at_{place}" in self.places

    def at(self, place: str, vectors_BWD: Tensor, stratum_B: Tensor) -> Tensor:
        """Vectors at a place [B, W, D]."""
        if not self.has(place):
            return vectors_BWD
        return cast(Tensor, self.places[f"at_{place}"](vectors_BWD, stratum_B))

    def last(self, states_BD: Tensor, stratum_B: Tensor) -> Tensor:
        """States before scoring [B, D]."""
        if self.map is None:
            return states_BD
        return torch.where((stratum_B < self.first_head).unsqueeze(1), states_BD + self.map(states_BD), states_BD)
