"""Scorers without a network, which nothing is trained for. A model that does not beat them is not worth its training.

    popularity    every user is offered what was consumed most in training
    last item     every user is offered the last item again (rank it with the filter of seen items off, or it has nothing to say)
    transitions   what followed the user's last items in other histories, or came before them (`neighbours.transitions`)
    item-knn      what is most like the user's last items, by common users (`neighbours.co_occurrence`)

All score users like a model does, so they pass through the same ranking. The last two know a few neighbours per item; all other
items come after those, by popularity: without that they would tie, and tied targets rank last.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltrec.data.neighbours.config import CoOccurrenceConfig, NeighboursConfig
from ltrec.data.neighbours.table import Neighbours
from ltrec.data.stream.reading.histories import HistoryChunk, Score
from ltrec.models.recall import recall

BASELINES = {"popularity": True, "last-item": False, "transitions": True, "item-knn": True}
"""Baselines by name, and whether each is ranked with seen items filtered (when the run itself filters them)."""

COUNTED: dict[str, NeighboursConfig | CoOccurrenceConfig] = {"transitions": NeighboursConfig(), "item-knn": CoOccurrenceConfig()}
"""Those that know neighbours, and how these are counted."""

DECAY, LAST = 0.85, 50
"""Of the history: what every step back multiplies a neighbour's weight with (transitions), and how many items count (both)."""


def popularity(train_count: Tensor) -> Score:
    """Scores that rank items by training count; equal counts tie.

    Args:
        train_count: training events per item [V+1], entry 0 being padding.
    """
    score_V = _places(train_count)

    def score(chunk: HistoryChunk) -> Tensor:
        scores_BV: Tensor = score_V.repeat(chunk.batch.num_rows, 1)
        return scores_BV

    return score


def last_item(num_items: int) -> Score:
    """Scores 1 for the last item of each history and 0 for all others, which tie: only a repeat of the last item is ever a hit."""

    def score(chunk: HistoryChunk) -> Tensor:
        batch = chunk.batch
        scores_BV = torch.zeros(batch.num_rows, num_items + 1)
        rows = (batch.lengths_B > 0).nonzero()[:, 0]
        scores_BV[rows, batch.items_T[batch.offsets[rows + 1] - 1]] = 1.0
        return scores_BV

    return score


def transitions(neighbours: Neighbours, train_count: Tensor) -> Score:
    """Scores of what followed the last items of each history, newest first; all else by popularity.

    Args:
        neighbours: by transitions.
        train_count: training events per item [V+1].
    """
    unknown_V = _below_all(train_count)

    def score(chunk: HistoryChunk) -> Tensor:
        return _recalled(chunk.seen_T, chunk.seen_offsets, neighbours, DECAY, unknown_V)

    return score


def item_knn(neighbours: Neighbours, train_count: Tensor) -> Score:
    """Scores by the sum of similarities to the distinct items among the last ones of each history (Deshpande & Karypis, TOIS 2004);
    all else by popularity.

    Args:
        neighbours: by common users.
        train_count: training events per item [V+1].
    """
    unknown_V = _below_all(train_count)

    def score(chunk: HistoryChunk) -> Tensor:
        return _recalled(_once(chunk), chunk.seen_offsets, neighbours, 1.0, unknown_V)

    return score


def _recalled(items_T: Tensor, offsets: Tensor, neighbours: Neighbours, decay: float, unknown_V: Tensor) -> Tensor:
    recalled_BV = recall(items_T, offsets, neighbours.item_VN, neighbours.weight_VN, decay=decay, last=LAST)
    return torch.where(recalled_BV > 0, recalled_BV, unknown_V, out=recalled_BV)


def _below_all(train_count: Tensor) -> Tensor:
    """Scores below 0 of the items that no history recalls, by popularity [V+1]."""
    place_V = _places(train_count)
    return place_V - (place_V.max() + 1)


def _places(train_count: Tensor) -> Tensor:
    """The place of every item among the distinct counts, 0 = the rarest [V+1]: float32 holds it exactly where counts of billions
    would collide."""
    place_V: Tensor = torch.unique(train_count, return_inverse=True)[1]
    return place_V.to(torch.float32)


def _once(chunk: HistoryChunk) -> Tensor:
    """The histories, each item at its last place only and 0 elsewhere [T]."""
    lengths = chunk.seen_offsets.diff()
    row_T = torch.repeat_interleave(torch.arange(lengths.numel()), lengths)
    width = int(chunk.seen_T.max()) + 1 if chunk.seen_T.numel() else 1
    _, pair_T = torch.unique(row_T * width + chunk.seen_T, return_inverse=True)
    place_T = torch.arange(pair_T.numel())
    last_P = place_T.new_zeros(pair_T.numel()).scatter_reduce_(0, pair_T, place_T, "amax")
    return torch.where(last_P[pair_T] == place_T, chunk.seen_T, 0)
