"""In-batch softmax: the other targets of the global micro-batch are the negatives.

    l_n = log( exp(s_t) + sum_j exp(s_j) / (M q_j) ) - s_t,        j over the M targets of all ranks, those equal to t left out

Targets come up as often as they are popular, so q is the training popularity; without the correction popular items are pushed down
(Yi et al., RecSys 2019). A target's own duplicates in the batch are not negatives. Ids alone are gathered from the other ranks:
every rank holds the item table and looks the vectors up itself, so gradients need no gathering.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ltrec.objectives.candidates import in_full_precision
from ltrec.objectives.draw import Draw, Gather
from ltrec.objectives.item_table import ItemTable, at_hand
from ltrec.objectives.negatives import PopularityProposal
from ltrec.objectives.shared_softmax import shared_softmax
from ltrec.objectives.workspace import Workspace


class InBatchSoftmax(nn.Module):
    """Softmax cross-entropy among the batch's targets; an `Objective` whose examples depend on each other.

    Args:
        train_count: int64 [V+1], training events per item.
        gather: ids of this rank -> ids of all ranks.
        logq: see `InBatchConfig`.
    """

    coupled = True
    draws = False

    def __init__(self, *, train_count: Tensor, gather: Gather, logq: bool = True) -> None:
        super().__init__()
        self.gather = gather
        self.logq = logq
        self.popularity = PopularityProposal(train_count, alpha=1.0)
        self.num_items = train_count.numel() - 1
        self.workspace = Workspace()

    def forward(self, states_ND: Tensor, targets_N: Tensor, table: ItemTable, draw: Draw) -> Tensor:  # noqa: ARG002
        """Loss of every example [N]."""
        candidates_M = self.gather(targets_N)
        table_VD, (target_row_N, candidate_row_M) = at_hand(table, targets_N, candidates_M)
        with torch.autocast(states_ND.device.type, enabled=False):
            states_ND, table_VD = in_full_precision(states_ND, table_VD)
            offset_M = self.popularity.log_prob(candidates_M) + math.log(max(1, candidates_M.numel())) if self.logq else None
            return shared_softmax(states_ND, target_row_N, table_VD, candidate_row_M, offset_M, self.workspace)

    def read_items(self, targets_N: Tensor, draw: Draw) -> Tensor:  # noqa: ARG002
        """None: only the targets of all ranks are read."""
        return targets_N[:0]

    def log_unread_V(self, num_targets: int) -> Tensor:  # noqa: ARG002
        """0 [V+1]: nothing is drawn."""
        return torch.zeros(self.num_items + 1, dtype=torch.float64, device="cpu")
