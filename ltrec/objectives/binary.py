"""Binary losses: BCE as in SASRec, and gBCE, which corrects the overconfidence caused by few negatives.

    l_n = -( beta log sigmoid(s_t) + sum_k log(1 - sigmoid(s_k)) ) / (M + 1)
    beta = alpha ( t (1 - 1/alpha) + 1/alpha ),     alpha = M / (V - 1), the sampling rate

(gSASRec, Petrov & Macdonald, RecSys 2023, eqs. 11-13; sigmoid^beta is beta in front of the logarithm.) t = 0 is BCE; t = 1 gives
scores that sigmoid turns into calibrated probabilities. Negatives are uniform, drawn per position; those that hit the target are
left out of the sum.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.core.errors import UserError
from ltrec.objectives.candidates import candidate_logits, in_full_precision, scored_candidates
from ltrec.objectives.draw import Draw, ScoreCandidates
from ltrec.objectives.item_table import ItemTable, at_hand
from ltrec.objectives.negatives import UniformProposal, log_undrawn_V, negatives_per_example


class GBCE(nn.Module):
    """gBCE; with `calibration` 0 it is BCE. A `CandidateObjective`.

    Args:
        train_count: int64 [V+1]; its length gives V.
        negatives, calibration: see `GBCEConfig`.
        among: item ids that may be negatives, ascending; None = all.

    Raises:
        UserError: for a calibration outside [0, 1].
    """

    coupled = False
    draws = True
    segments_obstacle = None

    def __init__(
        self, *, train_count: Tensor, negatives: int = 256, calibration: float = 0.75, among: Tensor | None = None
    ) -> None:
        super().__init__()
        if not 0 <= calibration <= 1:
            raise UserError(f"`calibration`={calibration} lies outside [0, 1]")
        self.negatives = negatives
        self.proposal = UniformProposal(train_count, among)
        self.num_items = train_count.numel() - 1
        rate = negatives / max(1, self.proposal.num_items - 1)
        self.beta = rate * (calibration * (1 - 1 / rate) + 1 / rate)

    def forward(self, states_ND: Tensor, targets_N: Tensor, table: ItemTable, draw: Draw) -> Tensor:
        """Loss of every example [N]."""
        negatives_NM = self.read_items(targets_N, draw)
        table_VD, (target_row_N, negative_row_NM) = at_hand(table, targets_N, negatives_NM)
        with torch.autocast(states_ND.device.type, enabled=False):
            states_ND, table_VD = in_full_precision(states_ND, table_VD)
            target_N, negative_NM = candidate_logits(states_ND, target_row_N, table_VD, negative_row_NM)
            return self._loss(target_N, negative_NM)

    def of_candidates(self, score: ScoreCandidates, targets_N: Tensor, draw: Draw) -> Tensor:
        """Loss of every example [N]."""
        negatives_NM = self.read_items(targets_N, draw)
        target_N, negative_NM = scored_candidates(score, targets_N, negatives_NM)
        with torch.autocast(targets_N.device.type, enabled=False):
            return self._loss(target_N, negative_NM)

    def read_items(self, targets_N: Tensor, draw: Draw) -> Tensor:  # noqa: ARG002
        """The negatives [N, M]."""
        return negatives_per_example(self.proposal, draw, self.negatives)

    def log_unread_V(self, num_targets: int) -> Tensor:
        """Log-probability that an item is not drawn as a negative [V+1]."""
        return log_undrawn_V(self.proposal, self.num_items, self.negatives * num_targets)

    def _loss(self, target_N: Tensor, negative_NM: Tensor) -> Tensor:
        # softplus(-x) = -log sigmoid(x); softplus(-inf) = 0 leaves hits out
        return (self.beta * F.softplus(-target_N) + F.softplus(negative_NM).sum(1)) / (self.negatives + 1)


class BCE(GBCE):
    """gBCE without calibration."""

    def __init__(self, *, train_count: Tensor, negatives: int = 1, among: Tensor | None = None) -> None:
        super().__init__(train_count=train_count, negatives=negatives, calibration=0.0, among=among)
