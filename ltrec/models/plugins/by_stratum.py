"""Routing: every vector through the function of its own stratum, each function called once, on all that is its own.

Sorting by stratum makes the vectors of a stratum neighbours, so K functions read K slices; nothing is padded and nothing is
computed for a stratum that is not its own, which is also why its gradient is exactly zero there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ltrec.core.rows.on_host import rows_of_positions, to_device


def by_stratum(vectors: Tensor, stratum_N: Tensor, num_strata: int, function: Callable[[int, Tensor], Tensor]) -> Tensor:
    """The vectors [N, ..., D], mapped; those of no stratum (-1) are passed through.

    A batch of one stratum, as when strata are run one by one, is mapped as it is.

    Args:
        vectors: packed, one stratum per leading entry.
        stratum_N: int64 [N], -1 .. K-1.
        num_strata: K.
        function: (stratum, its vectors [n, ..., D]) -> vectors of the same shape. Not called for a stratum without vectors.
    """
    rows = rows_of_positions(stratum_N)
    if rows is None:
        counts = torch.bincount(stratum_N + 1, minlength=num_strata + 1).tolist()
    else:
        counts = rows.positions_of_strata(num_strata)
    assert len(counts) == num_strata + 1, f"stratum {int(stratum_N.max())} of {num_strata}"
    if max(counts) == len(stratum_N):
        alone = counts.index(len(stratum_N)) - 1
        return vectors if alone < 0 or not len(stratum_N) else function(alone, vectors)
    order_N = stratum_N.argsort(stable=True)
    parts = torch.split(vectors[order_N], counts)
    mapped = [function(z, part) if z >= 0 and counts[z + 1] else part for z, part in enumerate(parts, start=-1)]
    return put_back(mapped, order_N)


def put_back(parts: Sequence[Tensor], place_N: Tensor) -> Tensor:
    """The entries of all parts, one after the other, each at its place: [N, ...].

    Args:
        parts: N entries together.
        place_N: every number from 0 to N-1 once, on the parts' device or on the CPU.
    """
    together = torch.cat(list(parts))
    return torch.empty_like(together).index_copy_(0, to_device(place_N, together.device), together)
