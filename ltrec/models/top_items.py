"""The k best items of every row, the same on every run: equal scores are ordered by item id.

The order of ties in `torch.topk` is unspecified. It matters only in rows whose k-th and (k+1)-th scores are equal, so only those
are sorted again.
"""

from __future__ import annotations

import torch
from torch import Tensor


def top_items(scores_BV: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Scores and item ids of the k best items per row, best first, ties by ascending id.

    Args:
        scores_BV: [B, V+1] without NaN; what must not be recommended is -inf.
        k: how many; at most V+1 are returned.

    Returns:
        Scores and int64 ids, both [B, min(k, V+1)]. Entries with score -inf, always at the end, are not recommendations.
    """
    size = scores_BV.shape[1]
    value_BK, item_BK = scores_BV.topk(min(k + 1, size), dim=1)
    if k < size:
        tied_B = (value_BK[:, k] == value_BK[:, k - 1]) & (value_BK[:, k] > -torch.inf)
        value_BK, item_BK = value_BK[:, :k].contiguous(), item_BK[:, :k].contiguous()
        for row in tied_B.nonzero()[:, 0].tolist():
            _lowest_ids_last(scores_BV[row], value_BK[row], item_BK[row])
    # Two stable sorts: by id, then by score. Cheap, k columns only.
    by_id = item_BK.argsort(dim=1)
    value_BK, item_BK = value_BK.gather(1, by_id), item_BK.gather(1, by_id)
    by_score = value_BK.argsort(dim=1, descending=True, stable=True)
    return value_BK.gather(1, by_score), item_BK.gather(1, by_score)


def _lowest_ids_last(scores_V: Tensor, value_K: Tensor, item_K: Tensor) -> None:
    """Let the entries tied with the last one be the tied items of lowest id, in place."""
    places = (value_K == value_K[-1]).nonzero()[:, 0]
    item_K[places] = (scores_V == value_K[-1]).nonzero()[: len(places), 0]
