"""From histories to the k best items, in one program: window, routing, encoder, plugins, memory, filters and the fallback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ltrec.artefact.dense.memory import DenseMemory
from ltrec.artefact.dense.scorers import DenseScores
from ltrec.artefact.dense.window import window_of
from ltrec.models.top_items import largest_of_blocks

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
        by_blocks: whether the list is searched by blocks of items, which `pays_by_blocks` says.
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
        by_blocks: bool = False,
    ) -> None:
        super().__init__()
        self.network, self.memory = network, memory
        self.max_len, self.k, self.filter_seen, self.by_blocks = max_len, k, filter_seen, by_blocks
        self.register_buffer("bounds_K", torch.tensor(bounds))
        self.register_buffer("heirs_K", torch.tensor((heirs[0], *heirs)))  # by the number of bounds that are reached

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
        lengths_B1, hidden_V = _lengths(items), ~tables[ALLOWED] | _padding(tables)
        scores_BV = self._scored(items, events, users, tables, lengths_B1, hidden_V)
        if self.filter_seen:
            scores_BV.scatter_(1, items, -torch.inf)
        value_BK, item_BK = largest_of_blocks(scores_BV, self.k) if self.by_blocks else scores_BV.topk(self.k, dim=1)
        popular_K = tables[FALLBACK].masked_fill(hidden_V, -torch.inf).topk(self.k).indices  # of all empty histories alike
        told_K = tables[FALLBACK_SCORE].masked_fill(hidden_V, -torch.inf)[popular_K]
        empty_B1 = lengths_B1 == 0
        return torch.where(empty_B1, told_K, value_BK), torch.where(empty_B1, popular_K, item_BK)

    def scores(
        self, items: Tensor, events: Mapping[str, Tensor], users: Mapping[str, Tensor], tables: Mapping[str, Tensor]
    ) -> Tensor:
        """Scores of all items [B, V+1], -inf for padding, before filters; of no meaning for an empty history."""
        return self._scored(items, events, users, tables, _lengths(items), _padding(tables))

    def _scored(
        self,
        items: Tensor,
        events: Mapping[str, Tensor],
        users: Mapping[str, Tensor],
        tables: Mapping[str, Tensor],
        lengths_B1: Tensor,
        hidden_V: Tensor,
    ) -> Tensor:
        """Scores, -inf for what is hidden."""
        stratum_B = self.heirs_K[(lengths_B1 >= self.bounds_K).sum(dim=1)]
        window = window_of(items, events, users, lengths_B1, stratum_B, self.max_len, whole=self.network.whole_windows)
        if self.memory is None:
            return cast(Tensor, self.network(window, tables, _added(hidden_V)))
        scores_BV = self.network(window, tables, _added(_padding(tables)))
        return cast(Tensor, self.memory(scores_BV, items, _seen(items, scores_BV), stratum_B, tables).add_(_added(hidden_V)))


def _lengths(items: Tensor) -> Tensor:
    """Of the histories [B, 1]."""
    return (items > 0).sum(dim=1, keepdim=True)


def _padding(tables: Mapping[str, Tensor]) -> Tensor:
    """Which place is none of an item, bool [V+1]."""
    allowed_V = tables[ALLOWED]
    return torch.arange(allowed_V.shape[0], device=allowed_V.device) == 0


def _added(hidden_V: Tensor) -> Tensor:
    return torch.where(hidden_V, -torch.inf, 0.0)


def _seen(items: Tensor, scores_BV: Tensor) -> Tensor:
    """Items of the histories, bool [B, V+1]."""
    return torch.zeros_like(scores_BV, dtype=torch.bool).scatter(1, items, True)
