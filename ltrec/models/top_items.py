"""The k best items of every row, the same on every run: equal scores are ordered by item id.

The order of ties in `torch.topk` is unspecified. It matters only in rows whose k-th and (k+1)-th scores are equal, so only those
are looked at again: where many items tie, as when counts score, these are most rows, and the ties most often lie among low ids.

On a CPU, of a large catalogue only the blocks of items with the largest maxima are searched: the n largest scores of a row are in
the n blocks whose maxima are largest, or equal to scores that are. Maxima take a fifth of the time of a search.
"""

from __future__ import annotations

import torch
from torch import Tensor

_BLOCK, _MANY = 64, 8
"""Items of a block; a search among blocks pays from so many times the scores that it looks at again."""

_FIRST, _FURTHER, _CELLS = 256, 16, 1 << 22
"""Tied items are sought among so many of lowest id, then among so many times as many; and in so many scores at a time."""


def top_items(scores_BV: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Scores and item ids of the k best items per row, best first, ties by ascending id.

    Args:
        scores_BV: [B, V+1] without NaN; what must not be recommended is -inf.
        k: how many; at most V+1 are returned.

    Returns:
        Scores and int64 ids, both [B, min(k, V+1)]. Entries with score -inf, always at the end, are not recommendations.
    """
    size = scores_BV.shape[1]
    value_BK, item_BK = _largest(scores_BV, min(k + 1, size))
    if k < size:
        tied_B = (value_BK[:, k] == value_BK[:, k - 1]) & (value_BK[:, k] > -torch.inf)
        value_BK, item_BK = value_BK[:, :k].contiguous(), item_BK[:, :k].contiguous()
        _lowest_ids_last(scores_BV, tied_B.nonzero()[:, 0], value_BK, item_BK)
    # Two stable sorts: by id, then by score. Cheap, k columns only.
    by_id = item_BK.argsort(dim=1)
    value_BK, item_BK = value_BK.gather(1, by_id), item_BK.gather(1, by_id)
    by_score = value_BK.argsort(dim=1, descending=True, stable=True)
    return value_BK.gather(1, by_score), item_BK.gather(1, by_score)


def _largest(scores_BV: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """As `torch.topk`; which of equal scores are among them is unspecified."""
    if scores_BV.device.type != "cpu" or not pays_by_blocks(scores_BV.shape[1], count):
        return scores_BV.topk(count, dim=1)
    return largest_of_blocks(scores_BV, count)


def pays_by_blocks(size: int, count: int) -> bool:
    """Whether of so many scores the largest are found sooner by blocks, on a CPU."""
    return size >= _MANY * count * _BLOCK


def largest_of_blocks(scores_BV: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """As `torch.topk`, for scores of at least `count` blocks; which of equal scores are among them is unspecified."""
    blocks = scores_BV.shape[1] // _BLOCK
    start = blocks * _BLOCK
    body_BNW = scores_BV[:, :start].reshape(-1, blocks, _BLOCK)
    block_BC = body_BNW.amax(dim=2).topk(count, dim=1, sorted=False).indices
    scores_BCW = body_BNW[torch.arange(block_BC.shape[0], device=block_BC.device).unsqueeze(1), block_BC]
    value_BK, place_BK = torch.cat([scores_BCW.flatten(1), scores_BV[:, start:]], dim=1).topk(count, dim=1)
    block_BC = torch.cat([block_BC, block_BC.new_full((block_BC.shape[0], 1), blocks)], dim=1)  # the rest is a block, too
    return value_BK, block_BC.gather(1, place_BK // _BLOCK) * _BLOCK + place_BK % _BLOCK


def _lowest_ids_last(scores_BV: Tensor, rows_R: Tensor, value_BK: Tensor, item_BK: Tensor) -> None:
    """In these rows let the items tied with the last one be the tied items of lowest id, in no order; in place.

    They are sought among the lowest ids first, and further on in the rows that have too few there.
    """
    width = _FIRST
    while rows_R.numel():
        width = min(width, scores_BV.shape[1])
        parts = torch.split(rows_R, max(1, _CELLS // width))
        rows_R = torch.cat([_among(scores_BV[:, :width], part, value_BK, item_BK) for part in parts])
        width *= _FURTHER


def _among(scores_BW: Tensor, rows_R: Tensor, value_BK: Tensor, item_BK: Tensor) -> Tensor:
    """Replace the tied items of these rows by those of lowest id; returns the rows in which these scores hold too few."""
    place_RK = value_BK[rows_R] == value_BK[rows_R, -1:]
    tied_RW = scores_BW[rows_R] == value_BK[rows_R, -1:]
    count_R = place_RK.sum(1)
    enough_R = tied_RW.sum(1) >= count_R
    row_N, item_N = (tied_RW & enough_R[:, None]).nonzero(as_tuple=True)
    start_R = torch.searchsorted(row_N, torch.arange(len(count_R), device=row_N.device))
    lowest_N = torch.arange(len(row_N), device=row_N.device) - start_R[row_N] < count_R[row_N]
    item_BK[rows_R] = item_BK[rows_R].masked_scatter(place_RK & enough_R[:, None], item_N[lowest_N])
    return rows_R[~enough_R]
