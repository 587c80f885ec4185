"""From histories to the k best items, in one program: window, routing, encoder, plugins, memory, filters and the fallback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ltrec.artefact.dense.adapters import Adapters
from ltrec.artefact.dense.gru4rec import DenseGRU4Rec
from ltrec.artefact.dense.memory import DenseMemory
from ltrec.artefact.dense.sasrec import DenseSASRec
from ltrec.artefact.dense.window import window_of

ITEM_VECTORS, ALLOWED = "item_vectors", "allowed"
FALLBACK, FALLBACK_SCORE = "fallback.order", "fallback.score"
"""Names of tables: item vectors, float32 [V+1, D]; what may be recommended, bool [V+1]; for empty histories an order without ties,
the largest first, and the scores to be told, float32 [V+1]."""


class RecommenderProgram(nn.Module):
    """The program. Its tables are arguments, so that they can be stored in their own file.

    Args:
        encoder: the states.
        adapters: plugins.
        memory: of neighbours, if there is one.
        max_len: most positions that the encoder is given.
        bounds: least activity of each stratum of the run.
        heirs: the stratum whose plugins serve each of them.
        k: items of a list.
        filter_seen: whether items of the history are left out.
    """

    bounds_K: Tensor
    heirs_K: Tensor

    def __init__(
        self,
        encoder: DenseSASRec | DenseGRU4Rec,
        adapters: Adapters,
        memory: DenseMemory | None,
        *,
        max_len: int,
        bounds: Sequence[int],
        heirs: Sequence[int],
        k: int,
        filter_seen: bool,
    ) -> None:
        super().__init__()
        self.encoder, self.adapters, self.memory = encoder, adapters, memory
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
            tables: see `ITEM_VECTORS` and `DenseMemory`.

        Returns:
            Scores float32 [B, k], -inf where there is no item any more, and ids int64 [B, k].
        """
        lengths_B = (items > 0).sum(dim=1)
        stratum_B = self.heirs_K[((lengths_B[:, None] >= self.bounds_K).sum(dim=1) - 1).clamp(min=0)]
        window = window_of(items, events, users, stratum_B, self.max_len, whole=self.encoder.whole_windows)
        table_VD = tables[ITEM_VECTORS]
        states_BWD = self.encoder(window, table_VD, self.adapters)
        last_B11 = (window.lengths_B - 1).clamp(min=0)[:, None, None]
        states_BD = states_BWD.gather(1, last_B11.expand(-1, 1, states_BWD.shape[2]))[:, 0]
        scores_BV = self.adapters.last(states_BD, stratum_B) @ table_VD.T
        padding_V = torch.arange(table_VD.shape[0], device=items.device) == 0
        scores_BV = scores_BV.masked_fill(padding_V, -torch.inf)
        seen_BV = torch.zeros_like(scores_BV, dtype=torch.bool).scatter(1, items, True)
        if self.memory is not None:
            scores_BV = self.memory(scores_BV, items, seen_BV, stratum_B, tables)
        scores_BV = torch.where((lengths_B > 0)[:, None], scores_BV, tables[FALLBACK])
        hidden_BV = (seen_BV | ~tables[ALLOWED]) if self.filter_seen else ~tables[ALLOWED]
        value_BK, item_BK = scores_BV.masked_fill(hidden_BV | padding_V, -torch.inf).topk(self.k, dim=1)
        is_fallback_BK = (lengths_B == 0)[:, None] & (value_BK > -torch.inf)
        return torch.where(is_fallback_BK, tables[FALLBACK_SCORE][item_BK], value_BK), item_BK
