"""Scorers that need no training. A model should at least beat them.

    popularity    the items with the most training events
    last item     the last item again (only meaningful if seen items are not filtered)
    transitions   items that followed, or preceded, the user's last items in other histories (`neighbours.transitions`)
    item-knn      items that are most similar to the user's last items, by common users (`neighbours.co_occurrence`)

All of them score users as a model does, and are ranked in the same way. The last two have a few neighbours per item; all other
items follow by popularity, because otherwise they would be tied, and tied targets rank last.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltrec.data.neighbours.config import CoOccurrenceConfig, NeighboursConfig
from ltrec.data.neighbours.table import Neighbours
from ltrec.data.stream.reading.histories import HistoryChunk, Score
from ltrec.models.recall import recall

BASELINES = {"popularity": True, "last-item": False, "transitions": True, "item-knn": True}
"""Baselines by name, and whether seen items are filtered for them (if the run filters them)."""

COUNTED: dict[str, NeighboursConfig | CoOccurrenceConfig] = {"transitions": NeighboursConfig(), "item-knn": CoOccurrenceConfig()}
"""The baselines with neighbours, and how these are counted."""

DECAY, LAST = 0.85, 50
"""Factor on a neighbour's weight per step back in the history (transitions), and number of last items used (both)."""


def popularity(train_count: Tensor) -> Score:
    """Scores that rank items by training count; equal counts tie.

    Args:
        train_count: training events per item [V+1]; entry 0 is padding.
    """
    score_V = _popularity_ranks(train_count)

    def score(chunk: HistoryChunk) -> Tensor:
        scores_BV: Tensor = score_V.repeat(chunk.batch.num_rows, 1)
        return scores_BV

    return score


def last_item(num_items: int) -> Score:
    """Scores 1 for the last item of each history and 0 for all others, which tie: only a repeat of the last item can be a hit."""

    def score(chunk: HistoryChunk) -> Tensor:
        batch = chunk.batch
        scores_BV = torch.zeros(batch.num_rows, num_items + 1)
        rows = (batch.lengths_B > 0).nonzero()[:, 0]
        scores_BV[rows, batch.items_T[batch.offsets[rows + 1] - 1]] = 1.0
        return scores_BV

    return score


def transitions(neighbours: Neighbours, train_count: Tensor) -> Score:
    """Scores of items that followed the last items of each history, weighted by recency; all others by popularity.

    Args:
        neighbours: by transitions.
        train_count: training events per item [V+1].
    """
    unknown_V = _popularity_scores(train_count)

    def score(chunk: HistoryChunk) -> Tensor:
        return _recall_scores(chunk.seen_T, chunk.seen_offsets, neighbours, DECAY, unknown_V)

    return score


def item_knn(neighbours: Neighbours, train_count: Tensor) -> Score:
    """Scores by the sum of similarities to the distinct last items of each history (Deshpande & Karypis, TOIS 2004); all others
    by popularity.

    Args:
        neighbours: by common users.
        train_count: training events per item [V+1].
    """
    unknown_V = _popularity_scores(train_count)

    def score(chunk: HistoryChunk) -> Tensor:
        return _recall_scores(_last_occurrences(chunk), chunk.seen_offsets, neighbours, 1.0, unknown_V)

    return score


def _recall_scores(items_T: Tensor, offsets: Tensor, neighbours: Neighbours, decay: float, unknown_V: Tensor) -> Tensor:
    recalled_BV = recall(items_T, offsets, neighbours.item_VN, neighbours.weight_VN, decay=decay, last=LAST)
    return torch.where(recalled_BV > 0, recalled_BV, unknown_V, out=recalled_BV)


def _popularity_scores(train_count: Tensor) -> Tensor:
    """Negative scores by popularity, for items without any neighbour in the history [V+1]."""
    place_V = _popularity_ranks(train_count)
    return place_V - (place_V.max() + 1)


def _popularity_ranks(train_count: Tensor) -> Tensor:
    """Index of every item's count among the distinct counts, 0 = the rarest [V+1]. Exact in float32, unlike counts of billions."""
    place_V: Tensor = torch.unique(train_count, return_inverse=True)[1]
    return place_V.to(torch.float32)


def _last_occurrences(chunk: HistoryChunk) -> Tensor:
    """The histories with every item only at its last position, and 0 elsewhere [T]."""
    lengths = chunk.seen_offsets.diff()
    row_T = torch.repeat_interleave(torch.arange(lengths.numel()), lengths)
    width = int(chunk.seen_T.max()) + 1 if chunk.seen_T.numel() else 1
    _, pair_T = torch.unique(row_T * width + chunk.seen_T, return_inverse=True)
    place_T = torch.arange(pair_T.numel())
    last_P = place_T.new_zeros(pair_T.numel()).scatter_reduce_(0, pair_T, place_T, "amax")
    return torch.where(last_P[pair_T] == place_T, chunk.seen_T, 0)
