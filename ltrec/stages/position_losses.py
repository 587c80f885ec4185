"""From a batch to the loss at every position: the one place where a backbone meets an objective.

An Encoder hands its states to the objective, together with its item table. A CandidateScorer has no states: the objective draws its
candidates first and asks for their scores.
"""

from __future__ import annotations

from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.core.errors import UserError
from ltrec.core.hashing import mix_tensor
from ltrec.models.backbones import encoder_of
from ltrec.models.plugins import Plugged
from ltrec.objectives import Draw, Objective
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
            backbone: a Scorer.
            batch: with targets.
            seed: root of random draws.

        Raises:
            UserError: the backbone has no states and the objective needs some.
        """
        draw = self._draw(batch, seed)
        encoder = encoder_of(backbone)
        if encoder is None:
            raise UserError(f"objective: {type(self.objective).__name__} needs states, and this backbone has none")
        states_TD = encoder.encode(batch)
        loss_T = self.emphasis(self.objective(states_TD, batch.targets_T, encoder.item_table, draw))
        extra_T = backbone.extra_losses(batch, states_TD) if isinstance(backbone, Plugged) else None
        return (loss_T if extra_T is None else loss_T + extra_T), states_TD

    def _draw(self, batch: SequenceBatch, seed: int) -> Draw:
        if not self.objective.draws:
            return Draw(seed=seed, step=batch.step, key_N=batch.items_T[:0])
        # A target's identity is its user and its distance from the row's start: the same in any batch layout.
        place_T = batch.user_key_B[batch.row_of_position()] + batch.index_in_row()
        return Draw(seed=seed, step=batch.step, key_N=mix_tensor(seed, place_T))
