"""Batches of random histories for models, and a model whose every parameter counts."""

from __future__ import annotations

import torch
from torch import nn

from ltrec.core.batch import SequenceBatch


def histories(lengths, num_items, *, strata=None, seed=0) -> SequenceBatch:
    """Rows of these lengths; all of stratum 0, or of the given ones."""
    g = torch.Generator().manual_seed(seed)
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    items = torch.randint(1, num_items + 1, (int(offsets[-1]),), generator=g)
    stratum = torch.tensor(strata) if strata is not None else torch.zeros(len(lengths), dtype=torch.int64)
    return SequenceBatch.of_histories(items, offsets, stratum, torch.arange(len(lengths)))


@torch.no_grad()
def stir(model: nn.Module, std: float = 0.3) -> nn.Module:
    """Move all parameters away from initial values that would hide a mistake (zero biases, tiny vectors); padding stays zero."""
    g = torch.Generator().manual_seed(11)
    for parameter in model.parameters():
        parameter += std * torch.randn(parameter.shape, generator=g, dtype=parameter.dtype)
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            module.weight[module.padding_idx].zero_()
    return model


def plugins(width, count, seed=5):
    """An `Adapt` whose every stratum has a linear map of its own per place, and the same for one vector: (batched, single)."""
    g = torch.Generator().manual_seed(seed)
    maps = {place: torch.randn(count, width, width, generator=g, dtype=torch.float64) for place in ("items", "state")}

    def batched(place, vectors, stratum_N):
        return torch.einsum("nij,n...j->n...i", maps[place][stratum_N], vectors)

    def single(place, vector, stratum):
        return maps[place][stratum] @ vector

    return batched, single
