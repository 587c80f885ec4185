"""Scores with a memory of neighbours, on rectangles; the formulas are those of `ltrec.models.memory`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.models.memory import EPSILON

TABLES = ("neighbours", "similar")


class DenseMemory(nn.Module):
    """A memory whose tables are arguments: `neighbours.item` and `neighbours.weight` [V+1, N], and perhaps those of `similar`.

    Args:
        form: `mix` or `log`.
        weights: w, one for all users or one per stratum.
        decay: factor per step back in the history.
        last: how many last items count.
        share: factor on similarity.
        filter_seen: whether items of the history are no candidates.
    """

    weight_K: Tensor

    def __init__(self, form: str, weights: Sequence[float], *, decay: float, last: int, share: float, filter_seen: bool) -> None:
        super().__init__()
        self.form, self.decay, self.last, self.share, self.filter_seen = form, decay, last, share, filter_seen
        self.register_buffer("weight_K", torch.tensor(weights, dtype=torch.float64))

    def forward(self, scores_BV: Tensor, items: Tensor, seen_BV: Tensor, stratum_B: Tensor, tables: Mapping[str, Tensor]) -> Tensor:
        """Scores with the memory [B, V+1].

        Args:
            scores_BV: the network's.
            items: histories [B, L], 0 behind.
            seen_BV: bool, which items are in them.
            stratum_B: of the histories.
            tables: see above.
        """
        recalled_BV = self._recalled(items, "neighbours", tables)
        if self.share:
            recalled_BV = recalled_BV + self.share * self._recalled(items, "similar", tables)
        recalled_BV = recalled_BV.double()
        candidate_BV = recalled_BV.masked_fill(seen_BV, 0.0) if self.filter_seen else recalled_BV
        sum_B1 = candidate_BV.sum(dim=1, keepdim=True)
        share_BV = recalled_BV / sum_B1.clamp(min=torch.finfo(torch.float64).tiny)
        weight_B1 = (self.weight_K[stratum_B] if self.weight_K.numel() > 1 else self.weight_K.expand(items.shape[0]))[:, None]
        lifted_BV = self._lifted(scores_BV, share_BV, weight_B1, seen_BV)
        return torch.where((recalled_BV > 0) & (sum_B1 > 0), lifted_BV.to(scores_BV.dtype), scores_BV)

    def _lifted(self, scores_BV: Tensor, share_BV: Tensor, weight_B1: Tensor, seen_BV: Tensor) -> Tensor:
        if self.form == "log":
            return scores_BV.double() + weight_B1 * torch.log1p(share_BV / EPSILON)
        known_BV = scores_BV.masked_fill(seen_BV, -torch.inf) if self.filter_seen else scores_BV
        total_B1 = known_BV.logsumexp(dim=1, keepdim=True).double()
        remembered_BV = torch.log(weight_B1 / (1 - weight_B1)) + torch.log(share_BV) + total_B1
        return torch.logaddexp(scores_BV.double(), remembered_BV)

    def _recalled(self, items: Tensor, table: str, tables: Mapping[str, Tensor]) -> Tensor:
        """The recalled scores m [B, V+1]."""
        item_VN, weight_VN = tables[f"{table}.item"], tables[f"{table}.weight"]
        lengths_B1 = (items > 0).sum(dim=1, keepdim=True)
        back_N = torch.arange(self.last, device=items.device)
        place_BN = lengths_B1 - 1 - back_N
        own_BN = F.pad(items, (0, 1)).gather(1, place_BN.clamp(min=0))
        own_BN = torch.where(place_BN >= 0, own_BN, 0)
        factor_N = torch.pow(torch.tensor(self.decay, dtype=weight_VN.dtype), back_N.to(weight_VN.dtype))
        weights = weight_VN[own_BN] * factor_N[:, None]
        found_BV = weight_VN.new_zeros(items.shape[0], item_VN.shape[0])
        return found_BV.scatter_add(1, item_VN[own_BN].long().flatten(1), weights.flatten(1))
