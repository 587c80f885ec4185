"""The definition, with no thought for cost: all micro-batches of all ranks in one process, and one backward pass per stratum.

S_z = sum of losses of stratum z    N_z = their count, or their weights' sum    G_z = grad S_z / N_z    A = J J^T over the trunk
trunk: g = sum_z w_z G_z            plugin z: P(z) G_z of its own stratum
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch

Weights = Callable[[Tensor, Tensor], Tensor]
"""(gram_KK, N_K) -> weights_K"""


@dataclass(frozen=True)
class NaiveStep:
    gradients: dict[str, Tensor]
    counts_K: Tensor
    sizes_K: Tensor
    """N_z."""
    sums_K: Tensor
    gram_KK: Tensor
    weights_K: Tensor


def naive_step(
    stage: nn.Module, batches: list[SequenceBatch], weights: Weights, owner: Callable[[str], int | None], prior_K: Tensor
) -> NaiveStep:
    """One step's gradient by parameter name; parameters that take no part get zeros."""
    names = {name: p for name, p in stage.named_parameters() if p.requires_grad}
    rows, sums, counts, sizes = [], [], [], []
    for stratum in range(stage.num_strata):
        total, count, weight = torch.zeros((), dtype=torch.float64), 0, torch.zeros((), dtype=torch.float64)
        for batch in batches:
            example = stage.losses(batch)
            mine = example.loss_N[example.stratum_N == stratum]
            weight_N = torch.ones_like(example.loss_N) if example.weight_N is None else example.weight_N
            total, count = total + mine.double().sum(), count + mine.numel()
            weight += weight_N[example.stratum_N == stratum].double().sum()
        gradient = {name: torch.zeros_like(p) for name, p in names.items()}
        if count:
            found = torch.autograd.grad(total / weight, list(names.values()), allow_unused=True)
            gradient = {name: zero if g is None else g for (name, zero), g in zip(gradient.items(), found, strict=True)}
        rows.append(gradient)
        sums.append(total.detach())
        counts.append(count)
        sizes.append(weight)
    trunk = [name for name in names if owner(name) is None]
    jacobian = torch.stack([torch.cat([row[name].flatten() for name in trunk]) for row in rows]).double()
    gram_KK, counts_K = jacobian @ jacobian.T, torch.tensor(counts)
    sizes_K = torch.stack(sizes)
    weights_K = weights(gram_KK, sizes_K)
    gradients = {}
    for name in names:
        stratum = owner(name)
        by_weight = sum(w * row[name] for w, row in zip(weights_K.tolist(), rows, strict=True))
        gradients[name] = by_weight if stratum is None else prior_K[stratum].item() * rows[stratum][name]
    return NaiveStep(gradients, counts_K, sizes_K, torch.stack(sums), gram_KK, weights_K)
