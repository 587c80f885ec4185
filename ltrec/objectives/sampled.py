"""Sampled softmax with logQ correction: full softmax at the price of a few hundred items.

    l_n = log( exp(s_t) + sum_k exp(s_k) / (M q_k) ) - s_t,        M negatives k drawn from q, those that hit the target left out

The sum in the logarithm is an unbiased estimate of the full softmax's normaliser, because the target itself is always counted
exactly once; with many negatives loss and gradient approach full cross-entropy. (Correcting the target's own score too, as Bengio
& Senécal, 2008, do, answers another question: which of the candidates was not sampled. With hits left out it has another limit.)
`logq: false` leaves all scores as they are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ltrec.core.errors import UserError, nearest
from ltrec.objectives.candidates import candidate_logits, in_full_precision, scored_candidates, softmax_loss
from ltrec.objectives.draw import Draw, ScoreCandidates
from ltrec.objectives.item_table import ItemTable, at_hand
from ltrec.objectives.negatives import log_undrawn_V, make_proposal, negatives_per_example, negatives_per_step
from ltrec.objectives.shared_softmax import shared_softmax
from ltrec.objectives.workspace import Workspace

SCOPES = {"position": negatives_per_example, "shared": negatives_per_step}


class SampledSoftmax(nn.Module):
    """Softmax cross-entropy among sampled items; a `CandidateObjective`.

    Args:
        train_count: int64 [V+1], training events per item.
        negatives, scope, proposal, alpha, logq: see `SampledSoftmaxConfig`.
        among: item ids that may be negatives, ascending; None = all.

    Raises:
        UserError: for an unknown scope or proposal.
    """

    coupled = False
    draws = True
    segments_obstacle = None

    def __init__(
        self,
        *,
        train_count: Tensor,
        negatives: int = 256,
        scope: str = "position",
        proposal: str = "uniform",
        alpha: float = 0.75,
        logq: bool = True,
        among: Tensor | None = None,
    ) -> None:
        super().__init__()
        if scope not in SCOPES:
            raise UserError(f"`scope`={scope!r} is unknown{nearest(scope, SCOPES)}; choose from {', '.join(SCOPES)}")
        self.negatives = negatives
        self.scope = scope
        self.logq = logq
        self.proposal = make_proposal(proposal, train_count, alpha, among)
        self.workspace = Workspace()
        self.num_items = train_count.numel() - 1

    def forward(self, states_ND: Tensor, targets_N: Tensor, table: ItemTable, draw: Draw) -> Tensor:
        """Loss of every example [N]."""
        negatives = self.read_items(targets_N, draw)
        table_VD, (target_row_N, negative_row) = at_hand(table, targets_N, negatives)
        with torch.autocast(states_ND.device.type, enabled=False):
            states_ND, table_VD = in_full_precision(states_ND, table_VD)
            if negatives.dim() == 1:
                offset_M = self._offset(negatives)
                return shared_softmax(states_ND, target_row_N, table_VD, negative_row, offset_M, self.workspace)
            target_N, negative_NM = candidate_logits(states_ND, target_row_N, table_VD, negative_row)
            return self._loss(target_N, negative_NM, negatives)

    def of_candidates(self, score: ScoreCandidates, targets_N: Tensor, draw: Draw) -> Tensor:
        """Loss of every example [N]."""
        negatives = self.read_items(targets_N, draw)
        target_N, negative_NM = scored_candidates(score, targets_N, negatives)
        with torch.autocast(targets_N.device.type, enabled=False):
            return self._loss(target_N, negative_NM, negatives)

    def read_items(self, targets_N: Tensor, draw: Draw) -> Tensor:  # noqa: ARG002
        """The negatives [N, M], or [M] where they are shared."""
        return SCOPES[self.scope](self.proposal, draw, self.negatives)

    def log_unread_V(self, num_targets: int) -> Tensor:
        """Log-probability that an item is not drawn as a negative [V+1]."""
        draws = self.negatives * (num_targets if self.scope == "position" else 1)
        return log_undrawn_V(self.proposal, self.num_items, draws)

    def _loss(self, target_N: Tensor, negative_NM: Tensor, negatives: Tensor) -> Tensor:
        offset = self._offset(negatives)
        return softmax_loss(target_N, negative_NM if offset is None else negative_NM - offset)

    def _offset(self, negatives: Tensor) -> Tensor | None:
        """The logarithm of how often each negative is expected among the draws; None without the correction."""
        return self.proposal.log_prob(negatives) + math.log(self.negatives) if self.logq else None
