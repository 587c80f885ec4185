"""Scores to the k best items that may be recommended: allowed ones, candidates of the request, none of the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ltrec.core.errors import UserError
from ltrec.data.stream.reading.histories import HistoryChunk
from ltrec.models.scoring import mask_seen
from ltrec.models.top_items import top_items


@dataclass(frozen=True, slots=True)
class ListRules:
    """Items that may be recommended to all users.

    Attributes:
        k: items of a list.
        filter_seen: whether items of the history may not.
        allowed_V: bool [V+1]; None = all items.
    """

    k: int
    filter_seen: bool
    allowed_V: Tensor | None = None

    def best(
        self, scores_BV: Tensor, seen: tuple[Tensor, Tensor] | None, candidates_B: Sequence[Tensor | None] | None
    ) -> tuple[Tensor, Tensor]:
        """Scores, float32, and items [B, k], best first, on the host; -inf if there are no more items.

        Args:
            scores_BV: [B, V+1], overwritten.
            seen: items of the histories and their offsets.
            candidates_B: of each user; None = all items.
        """
        scores_BV[:, 0] = -torch.inf
        device = scores_BV.device
        if self.allowed_V is not None:
            scores_BV.masked_fill_(~self.allowed_V.to(device), -torch.inf)
        if candidates_B is not None:
            for row, items in enumerate(candidates_B):
                if items is not None:
                    _keep(scores_BV[row], items.to(device))
        if self.filter_seen and seen is not None:
            mask_seen(scores_BV, seen[0].to(device), seen[1].to(device))
        value_BK, item_BK = (found.cpu() for found in top_items(scores_BV, self.k))
        missing = self.k - value_BK.shape[1]
        value_BK = torch.nn.functional.pad(value_BK.to(torch.float32), (0, missing), value=-torch.inf)
        return value_BK, torch.nn.functional.pad(item_BK, (0, missing))


def _keep(scores_V: Tensor, items: Tensor) -> None:
    """Set the scores of all other items to -inf, in place."""
    kept = scores_V[items]
    scores_V.fill_(-torch.inf)
    scores_V[items] = kept


def refuse_nan(scores_BV: Tensor, chunk: HistoryChunk) -> None:
    """Refuse NaN scores.

    Raises:
        UserError: naming the chunk and the first user.
    """
    bad_B = scores_BV[:, 1:].amax(dim=1).isnan()
    if bad_B.any():
        user = chunk.user_id[int(bad_B.nonzero()[0, 0])]
        raise UserError(f"chunk {chunk.index}: the scores of user {user!r} are NaN; the checkpoint has diverged; use another one")
