"""Ways to find the k best items of a chunk of users: by the scores of all items, or (`nearest/`) by an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ltrec.data.stream.reading.histories import HistoryChunk, Score
from ltrec.inference.lists import ListRules, refuse_nan

Candidates = Sequence[Tensor | None] | None
"""Items that may be recommended, of each user; None = all items."""


class Ranking(Protocol):
    """The k best items of users.

    Attributes:
        rules: what may be recommended.
        exact_users: users so far whom an index could not serve, so that all items were scored.
    """

    rules: ListRules
    exact_users: int

    def best(self, histories: HistoryChunk, candidates_B: Candidates) -> tuple[Tensor, Tensor]:
        """Scores, float32, and items [B, k], best first, on the host; -inf if there are no more items."""


@dataclass(slots=True)
class FullRanking:
    """All items are scored.

    Attributes:
        score: users -> scores.
        rules: what may be recommended.
        exact_users: 0; nobody was meant to be served otherwise.
    """

    score: Score
    rules: ListRules
    exact_users: int = 0

    def best(self, histories: HistoryChunk, candidates_B: Candidates) -> tuple[Tensor, Tensor]:
        """See `Ranking`.

        Raises:
            UserError: a score is NaN.
        """
        with torch.inference_mode():
            scores_BV = self.score(histories)
            refuse_nan(scores_BV, histories)
            return self.rules.best(scores_BV, (histories.seen_T, histories.seen_offsets), candidates_B)
