"""Id vectors for items that have none: the mean of those of the items most similar by their columns.

    e_v = mean_{u in N(v)} id_u + sum_c g_c embed_c(value_c[v])        N(v): the k items with an id vector nearest to v by cosine of
                                                                       what columns make of them

An id vector holds what training knew of its item alone, above all how popular it is. An item without one competes at a
disadvantage against all that share its columns; with the mean of its neighbours it competes as the typical one of them. Nothing is
trained for this, and vectors of other items do not change.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIMILARITIES = 1 << 26
"""Similarities held at once: 256 MiB."""


def with_borrowed_ids(table_VD: Tensor, id_VD: Tensor, has_id_V: Tensor, count: int) -> Tensor:
    """The table in which items without an id vector have the mean of their neighbours'. Items whose columns say nothing keep what
    they have.

    Args:
        table_VD: item vectors [V+1, D], without borrowed ids; row 0 is padding.
        id_VD: id vectors [V+1, D].
        has_id_V: bool [V+1], items with an id vector; False for padding.
        count: k.
    """
    own_VD = table_VD - id_VD.masked_fill(~has_id_V[:, None], 0.0)
    new, old = (~has_id_V & own_VD.any(dim=1)).nonzero()[:, 0], has_id_V.nonzero()[:, 0]
    if not new.numel() or not old.numel():
        return table_VD
    unit_OD, id_OD = F.normalize(own_VD[old], dim=1), id_VD[old]
    borrowed, rows = [], max(1, SIMILARITIES // old.numel())
    for start in range(0, new.numel(), rows):
        part = new[start : start + rows]
        similar_NO = F.normalize(own_VD[part], dim=1) @ unit_OD.T
        nearest_NK = similar_NO.topk(min(count, old.numel()), dim=1).indices
        borrowed.append(table_VD[part] + id_OD[nearest_NK].mean(dim=1))
    return table_VD.index_copy(0, new, torch.cat(borrowed))
