"""Recall: neighbours of a history's items, weighted by recency.

    m(h) = sum_j decay^(n-1-j) M[h_j]        over the last items h_1 ... h_n of the history

M being a table of a few weighted neighbours per item. No parameters, no training; items without a weight get 0.

Letters: B rows, T items of all histories together, V items, N neighbours per item.
"""

from __future__ import annotations

import torch
from torch import Tensor


def recall(
    items_T: Tensor, offsets: Tensor, item_VN: Tensor, weight_VN: Tensor, *, decay: float, last: int, out: Tensor | None = None
) -> Tensor:
    """The memory's scores of all items for every history [B, V+1], at least 0; column 0 is 0.

    A row's numbers are added in one order, newest item first, and the neighbours of one item are distinct, so the result depends
    neither on the other rows nor on the device's scheduling.

    Args:
        items_T: int64 [T], histories end to end, oldest first, untruncated or not.
        offsets: int64 [B+1], history b is items_T[offsets[b]:offsets[b+1]]; it may be empty.
        item_VN: int [V+1, N], neighbours of each item, 0 = none.
        weight_VN: float32 [V+1, N], their weights, 0 where there is none.
        decay: what every step back in the history multiplies a weight with.
        last: how many of a history's last items count.
        out: [>= B, V+1], of `weight_VN`'s type, whose first rows become the result; None = new memory.
    """
    ends_B, lengths_B = offsets[1:], offsets.diff()
    rows = lengths_B.numel()
    memory_BV = weight_VN.new_zeros(rows, item_VN.shape[0]) if out is None else out[:rows].zero_()
    longest = min(last, int(lengths_B.max())) if items_T.numel() else 0
    for back in range(longest):
        there_B = lengths_B > back
        item_B = torch.where(there_B, items_T[(ends_B - 1 - back).clamp(min=0)], 0)
        memory_BV.scatter_add_(1, item_VN.index_select(0, item_B).long(), weight_VN.index_select(0, item_B) * decay**back)
    return memory_BV
