"""Agr-Sum (Mansilla et al., ICCV 2021 workshop, "Domain Generalization via Gradient Surgery"): keep what all strata agree on.

Works on coordinates, not on the Gram matrix: it needs every stratum's gradient, hence mode `per_stratum`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ltrec.aggregation.rule import Policy, State


class AgrSum:
    """g_n = sum_z P(z) G_zn where all present strata have the same sign at coordinate n, else 0.

    With the paper's rows in place of P(z) G_z this is its sum; P(z) changes no sign. A gradient of 0 agrees only with zeros:
    with a loss over sampled items, the row of an item that some stratum did not meet in this step is not learned from at all.

    Args:
        empty: counts_K -> P(z) for this step; a stratum without weight is ignored.
    """

    kind: Literal["coordinate"] = "coordinate"
    equivariant = True
    smooth = False

    def __init__(self, empty: Policy) -> None:
        self._empty = empty

    def combine(self, rows_KN: Tensor, counts_K: Tensor) -> Tensor:
        """The update [N], in three vectors of memory besides the rows."""
        weights = [(z, weight) for z, weight in enumerate(self._empty(counts_K).tolist()) if weight > 0]
        total_N = torch.zeros_like(rows_KN[0])
        if not weights:
            return total_N
        sign_N = rows_KN[weights[0][0]].sign()
        disagree_N = torch.zeros_like(sign_N, dtype=torch.bool)
        for z, weight in weights:
            total_N.add_(rows_KN[z], alpha=weight)
            disagree_N |= rows_KN[z].sign() != sign_N
        return total_N.masked_fill_(disagree_N, 0.0)

    def state_dict(self) -> State:
        """Nothing."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Nothing."""
