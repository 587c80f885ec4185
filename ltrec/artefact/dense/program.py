"""From histories to the k best items, in one program: window, routing, encoder, plugins, memory, filters and the fallback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ltrec.artefact.dense.memory import DenseMemory
from ltrec.artefact.dense.scorers import DenseScores
from ltrec.artefact.dense.window import window_of

ALLOWED, FALLBACK, FALLBACK_SCORE = "allowed", "fallback.order", "fallback.score"
"""Names of tables: what may be recommended, bool [V+1]; for empty histories an order without ties, the largest first, and the
scores to be told, float32 [V+1]. Others are of `ltrec.artefact.dense.scorers` and `DenseMemory`."""


class RecommenderProgram(nn.Module):
    """The program. Its tables are arguments, so that they can be stored in their own file.

    Args:
        network: the scores of backbone and plugins.
        memory: of neighbours, if there is one.
        max_len: most positions that the backbone is given.
        bounds: least activity of each stratum of the run.
        heirs: the stratum whose plugins serve each of them.
        k: items of a list.
        filter_seen: whether items of the history are left out.
    """

    bounds_K: Tensor
    heirs_K: Tensor

    def __init__(
        self,
        network: DenseScores,
        memory: DenseMemory | None,
        *,
        max_len: int,
        bounds: Sequence[int],
        heirs: Sequence[int],
        k: int,
        filter_seen: bool,
    ) -> None:
        super().__init__()
        self.network, self.memory = network, memory
        self.max_len, self.k, self.filter_seen = max_len, k, filter_seen
        self.register_buffer("bounds_K", torch.tensor(bounds))
        self.register_buffer("heirs_K", torch.tensor(heirs))

    def forward(
        self, items: Tensor, events: Mapping[str, Tensor], users: Mapping[str, Tensor], tables: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The k best items.

        Args:
            items: int64 [B, L], ids of known items, oldest first, 0 behind.
            events: columns of events [B, L].
            users: columns of users [B].
            tables: see above.

        Returns:
            Scores float32 [B, k], -inf where there is no item any more, and ids int64 [B, k].
        """
        empty_B1, scores_BV = (items > 0).sum(dim=1, keepdim=True) == 0, self._scored(items, events, users, tables)
        hidden_V = ~tables[ALLOWED] | _padding(scores_BV)
        scores_BV.add_(torch.where(hidden_V, -torch.inf, 0.0))  # in place: passes over [B, V+1] cost as much as its product
        if self.filter_seen:
            scores_BV.scatter_(1, items, -torch.inf)
        value_BK, item_BK = scores_BV.topk(self.k, dim=1)
        order_K, popular_K = tables[FALLBACK].masked_fill(hidden_V, -torch.inf).topk(self.k)  # of all empty histories alike
        told_K = torch.where(order_K > -torch.inf, tables[FALLBACK_SCORE][popular_K], -torch.inf)
        return torch.where(empty_B1, told_K, value_BK), torch.where(empty_B1, popular_K, item_BK)

    def scores(
        self, items: Tensor, events: Mapping[str, Tensor], users: Mapping[str, Tensor], tables: Mapping[str, Tensor]
    ) -> Tensor:
        """Scores of all items [B, V+1], -inf for padding, before filters; of no meaning for an empty history."""
        scores_BV = self._scored(items, events, users, tables)
        return scores_BV.masked_fill(_padding(scores_BV), -torch.inf)

    def _scored(
        self, items: Tensor, events: Mapping[str, Tensor], users: Mapping[str, Tensor], tables: Mapping[str, Tensor]
    ) -> Tensor:
        """Scores, whatever they are for padding."""
        lengths_B = (items > 0).sum(dim=1)
        stratum_B = self.heirs_K[((lengths_B[:, None] >= self.bounds_K).sum(dim=1) - 1).clamp(min=0)]
        window = window_of(items, events, users, stratum_B, self.max_len, whole=self.network.whole_windows)
        scores_BV = self.network(window, tables)
        if self.memory is not None:
            scores_BV = scores_BV.masked_fill(_padding(scores_BV), -torch.inf)
            scores_BV = self.memory(scores_BV, items, _seen(items, scores_BV), stratum_B, tables)
        return cast(Tensor, scores_BV)


def _padding(scores_BV: Tensor) -> Tensor:
    return torch.arange(scores_BV.shape[1], device=scores_BV.device) == 0


def _seen(items: Tensor, scores_BV: Tensor) -> Tensor:
    """Items of the histories, bool [B, V+1]."""
    return torch.zeros_like(scores_BV, dtype=torch.bool).scatter(1, items, True)
