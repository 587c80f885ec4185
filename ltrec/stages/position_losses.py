"""From a batch to the loss at every position: the one place where a backbone meets an objective.

An Encoder hands its states to the objective, together with its item table. A CandidateScorer has no states: the objective draws its
candidates first and asks for their scores.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.core.hashing import mix_tensor
from ltrec.models.backbones import candidate_scorer_of, encoder_of
from ltrec.models.plugins import Plugged
from ltrec.objectives import CandidateObjective, Draw, Objective
from ltrec.objectives.emphasis import Emphasis


class PositionLosses(nn.Module):
    """Loss of every position of a batch.

    Args:
        objective: loss per target.
        emphasis: which losses count for more.
    """

    def __init__(self, objective: Objective, emphasis: Emphasis) -> None:
        super().__init__()
        self.objective = objective
        self.emphasis = emphasis

    @property
    def coupled(self) -> bool:
        """Whether a position's loss depends on other rows of the micro-batch."""
        return self.objective.coupled or self.emphasis.coupled

    def forward(self, backbone: nn.Module, batch: SequenceBatch, seed: int) -> tuple[Tensor, Tensor | None]:
        """Losses [T] and, of an Encoder, the states [T, D] that they were computed from.

        Args:
            backbone: an Encoder; or a CandidateScorer, if the objective is a CandidateObjective.
            batch: with targets.
            seed: root of random draws.
        """
        draw = self._draw(batch, seed)
        encoder = encoder_of(backbone)
        if encoder is None:
            return self._of_candidates(backbone, batch, draw), None
        states_TD = encoder.encode(batch)
        loss_T = self.emphasis(self.objective(states_TD, batch.targets_T, encoder.item_table, draw))
        extra_T = backbone.extra_losses(batch, states_TD) if isinstance(backbone, Plugged) else None
        return (loss_T if extra_T is None else loss_T + extra_T), states_TD

    def _of_candidates(self, backbone: nn.Module, batch: SequenceBatch, draw: Draw) -> Tensor:
        scorer = candidate_scorer_of(backbone)
        assert scorer is not None
        assert isinstance(self.objective, CandidateObjective)  # the composition root refuses the others by name
        return self.emphasis(self.objective.of_candidates(partial(scorer.candidate_logits, batch), batch.targets_T, draw))

    def _draw(self, batch: SequenceBatch, seed: int) -> Draw:
        if not self.objective.draws:
            return Draw(seed=seed, step=batch.step, key_N=batch.items_T[:0])
        # A target's identity is its user and its distance from the row's start: the same in any batch layout.
        place_T = batch.user_key_B[batch.row_of_position()] + batch.index_in_row()
        return Draw(seed=seed, step=batch.step, key_N=mix_tensor(seed, place_T))
