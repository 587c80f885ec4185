"""Scorers that learn nothing. A model that does not beat them has learnt nothing either.

    popularity   every user is offered what was consumed most in training
    last item    every user is offered the last item again (rank it with the filter of seen items off, or it has nothing to say)

Both score histories like a model does, so they pass through the same ranking.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltrec.data.stream.histories import HistoryChunk, Score


def popularity(train_count: Tensor) -> Score:
    """Scores that rank items by training count; equal counts tie.

    Args:
        train_count: training events per item [V+1], entry 0 being padding.
    """
    # The place among distinct counts: float32 holds it exactly where counts of billions would collide.
    _, place_V = torch.unique(train_count, return_inverse=True)
    score_V = place_V.to(torch.float32)

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


BASELINES = {"popularity": True, "last-item": False}
"""Baselines by name, and whether each is ranked with seen items filtered (when the run itself filters them)."""
