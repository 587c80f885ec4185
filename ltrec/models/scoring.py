"""From states to scores of the whole catalogue: one place for loss checks, evaluation, prediction and export."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ltrec.core.batch import SequenceBatch


def last_states(encode: Callable[[SequenceBatch], Tensor], batch: SequenceBatch, table_VD: Tensor) -> Tensor:
    """States after the last position of every row: [B, D]; zero for an empty row.

    Args:
        encode: batch -> states after every position [T, D].
        batch: rows of any length.
        table_VD: of the width, kind and place that states have.
    """
    return zero_for_empty(lambda batch: encode(batch)[batch.offsets[1:].clamp(min=1) - 1], batch, table_VD)


def zero_for_empty(states: Callable[[SequenceBatch], Tensor], batch: SequenceBatch, table_VD: Tensor) -> Tensor:
    """A state for every row: [B, D]; zero for an empty row.

    Args:
        states: batch with a position -> states of its rows [B, D], anything for an empty row.
        batch: rows of any length.
        table_VD: of the width, kind and place that states have.
    """
    if not batch.items_T.numel():
        return table_VD.new_zeros(batch.num_rows, table_VD.shape[1])
    return torch.where((batch.lengths_B > 0)[:, None], states(batch), 0.0)


def all_scores(states_BD: Tensor, table_VD: Tensor) -> Tensor:
    """Inner products of states with all items: float32 (or float64) [B, V+1]; column 0, padding, is -inf."""
    dtype = torch.promote_types(states_BD.dtype, torch.float32)
    with torch.autocast(states_BD.device.type, enabled=False):
        scores_BV = states_BD.to(dtype) @ table_VD.to(dtype).T
    scores_BV[:, 0] = -torch.inf
    return scores_BV


def mask_seen(scores_BV: Tensor, seen_T: Tensor, seen_offsets: Tensor, keep_B: Tensor | None = None) -> Tensor:
    """Set the scores of seen items to -inf, in place.

    Args:
        scores_BV: [B, V+1].
        seen_T: item ids of all rows.
        seen_offsets: [B+1], row b has seen seen_T[seen_offsets[b]:seen_offsets[b+1]].
        keep_B: one item per row whose score stays even if it was seen (the target); 0 keeps nothing.
    """
    kept_B1 = None if keep_B is None else scores_BV.gather(1, keep_B[:, None])
    rows_T = torch.repeat_interleave(
        torch.arange(scores_BV.shape[0], device=scores_BV.device), seen_offsets.diff(), output_size=seen_T.numel()
    )
    scores_BV[rows_T, seen_T] = -torch.inf
    if keep_B is not None and kept_B1 is not None:
        scores_BV.scatter_(1, keep_B[:, None], kept_B1)
    return scores_BV
