"""The k best items by an index: candidates from the graph, scored exactly with the model's own vectors, then filtered.

More candidates than k are searched, since some are in the history or may not be recommended; and more again, with as many more in
view, for users who are left with fewer than k. Who then still has too few is ranked by the scores of all items. Users with
candidates of their own are scored on these alone, without the graph.

Letters: B users, R some of them, N candidates, D width, V items.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ltrec.data.stream.reading.histories import HistoryChunk
from ltrec.inference.lists import ListRules, refuse_nan
from ltrec.inference.nearest.graph import ItemGraph
from ltrec.inference.rankings import Candidates
from ltrec.models.scoring import all_scores
from ltrec.models.top_items import top_items

_SPARE, _MORE, _MOST = 16, 4, 4096
"""Candidates beyond twice k in the first search; factor in the next ones; most that are searched."""

_BLOCK = 1 << 24
"""Numbers of candidates' vectors that are gathered at once."""


@dataclass(slots=True)
class NearestRanking:
    """Ranks by an index; see `ltrec.inference.rankings.Ranking`.

    Attributes:
        states: users -> states [B, D], whose inner products with the table are the scores.
        table_VD: item vectors [V+1, D]; row 0 is padding.
        graph: of these vectors.
        rules: what may be recommended.
        expansion: items that a search keeps in view.
        exact_users: users so far whom the index could not serve.
    """

    states: Callable[[HistoryChunk], Tensor]
    table_VD: Tensor
    graph: ItemGraph
    rules: ListRules
    expansion: int
    exact_users: int = 0

    def best(self, histories: HistoryChunk, candidates_B: Candidates) -> tuple[Tensor, Tensor]:
        """Scores, float32, and items [B, k], best first, on the host; -inf if there are no more items.

        Raises:
            UserError: a score is NaN.
        """
        with torch.inference_mode():
            return self.best_of(self.states(histories).float(), histories, candidates_B)

    def best_of(self, states_BD: Tensor, histories: HistoryChunk, candidates_B: Candidates) -> tuple[Tensor, Tensor]:
        """The same, given the states."""
        refuse_nan(F.pad(states_BD, (1, 0)), histories)
        users, k = len(states_BD), self.rules.k
        value_BK, item_BK = torch.full((users, k), -torch.inf), torch.zeros(users, k, dtype=torch.int64)
        own = [] if candidates_B is None else [user for user, items in enumerate(candidates_B) if items is not None]
        if own and candidates_B is not None:
            items_RN = torch.nn.utils.rnn.pad_sequence([items for items in candidates_B if items is not None], batch_first=True)
            rows = torch.tensor(own)
            value_BK[rows], item_BK[rows] = self._best_among(items_RN, states_BD, histories, rows)
        rows = torch.tensor(sorted({*range(users)} - {*own}), dtype=torch.int64)
        counts = self._counts()
        for count in counts:
            if not len(rows):
                break
            found_RN = self.graph.search(states_BD[rows].cpu().numpy(), count, self.expansion * count // counts[0])
            value_BK[rows], item_BK[rows] = self._best_among(torch.from_numpy(found_RN), states_BD, histories, rows)
            rows = rows[value_BK[rows, -1] == -torch.inf]
        if len(rows):
            self.exact_users += len(rows)
            value_BK[rows], item_BK[rows] = self._best_of_all(states_BD, histories, rows)
        return value_BK, item_BK

    def _counts(self) -> list[int]:
        """Numbers of candidates that are searched, one after another; none where most items may not be recommended."""
        items, allowed_V = len(self.graph), self.rules.allowed_V
        share = 1.0 if allowed_V is None else int(allowed_V.sum()) / max(1, items)
        count, found = int((2 * self.rules.k + _SPARE) / max(share, 1e-9)), list[int]()
        while count < min(items, _MOST):
            found.append(count)
            count *= _MORE
        return found or ([items] if 0 < items <= _MOST else [])

    def _best_among(self, items_RN: Tensor, states_BD: Tensor, histories: HistoryChunk, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The best of some users' candidates, repeats and 0 allowed. Equal scores are in the order of ids."""
        items_RN = items_RN.sort(dim=1).values
        scores_RN = self._scores(items_RN, states_BD[rows.to(states_BD.device)])
        scores_RN.masked_fill_(self._forbidden(items_RN, histories, rows), -torch.inf)
        value_RK, place_RK = top_items(F.pad(scores_RN, (1, 0), value=-torch.inf), self.rules.k)
        item_RK = F.pad(items_RN, (1, 0)).gather(1, place_RK)
        missing = self.rules.k - value_RK.shape[1]
        return F.pad(value_RK, (0, missing), value=-torch.inf), F.pad(item_RK, (0, missing))

    def _scores(self, items_RN: Tensor, states_RD: Tensor) -> Tensor:
        """Inner products [R, N], on the host."""
        device, at_once = self.table_VD.device, max(1, _BLOCK // max(1, items_RN.shape[1] * states_RD.shape[1]))
        parts = [
            torch.einsum("rd,rnd->rn", states.to(device), self.table_VD[items.to(device)].float()).cpu()
            for states, items in zip(torch.split(states_RD, at_once), torch.split(items_RN, at_once), strict=True)
        ]
        return torch.cat(parts)

    def _forbidden(self, items_RN: Tensor, histories: HistoryChunk, rows: Tensor) -> Tensor:
        """bool [R, N]: padding, repeats, and what may not be recommended to the user."""
        forbidden_RN = items_RN == 0
        forbidden_RN[:, 1:] |= items_RN[:, 1:] == items_RN[:, :-1]
        if self.rules.allowed_V is not None:
            forbidden_RN |= ~self.rules.allowed_V[items_RN]
        if self.rules.filter_seen:
            span, lengths_B = len(self.table_VD), histories.seen_offsets.diff()
            row_T = torch.repeat_interleave(torch.arange(len(lengths_B)), lengths_B, output_size=histories.seen_T.numel())
            forbidden_RN |= torch.isin(rows[:, None] * span + items_RN, row_T * span + histories.seen_T)
        return forbidden_RN

    def _best_of_all(self, states_BD: Tensor, histories: HistoryChunk, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The best of all items for some users."""
        scores_RV = all_scores(states_BD[rows.to(states_BD.device)], self.table_VD)
        offsets = histories.seen_offsets.numpy()
        seen = [histories.seen_T[offsets[row] : offsets[row + 1]] for row in rows.tolist()]
        starts = torch.from_numpy(np.cumsum([0, *map(len, seen)]))
        return self.rules.best(scores_RV, (torch.cat(seen), starts), None)
