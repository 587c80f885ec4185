"""From a batch to the loss at every position: the one place where a backbone meets an objective.

An Encoder hands its states to the objective, together with its item table. A CandidateScorer has no states: the objective draws its
candidates first and gets their scores. A RoutedByRow backbone is several: each is asked for the losses of its own rows.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.core.hashing import mix_tensor
from ltrec.models.backbones import CandidateScorer, Encoder
from ltrec.models.plugins import RoutedByRow, WithPlugins
from ltrec.models.plugins.by_stratum import put_back
from ltrec.objectives import CandidateObjective, Draw, Objective
from ltrec.objectives.emphasis import Choice, Emphasis
from ltrec.objectives.item_table import loss_table


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

    def forward(self, backbone: nn.Module, batch: SequenceBatch, seed: int, unit: str = "target") -> tuple[Tensor, Tensor | None]:
        """Losses [T] and, of an Encoder, the states [T, D] that they were computed from.

        Args:
            backbone: an Encoder; a CandidateScorer, if the objective is a CandidateObjective; or several of either.
            batch: with targets.
            seed: root of random draws.
            unit: what an example is: `target`, or `user`, whose loss the caller takes for the mean of his positions'.
        """
        plain_T, states_TD = self._plain(backbone, batch, seed)
        loss_T = self._emphasised(plain_T, batch, unit)
        extra_T = backbone.extra_losses(batch, states_TD) if isinstance(backbone, WithPlugins) else None
        return (loss_T if extra_T is None else loss_T + extra_T), states_TD

    def _emphasised(self, loss_T: Tensor, batch: SequenceBatch, unit: str) -> Tensor:
        """A choice is made among examples: all positions of a user have one weight, which his mean has, too. Else by position."""
        if unit == "target" or not isinstance(self.emphasis, Choice):
            return self.emphasis(loss_T)
        weight_B = self.emphasis.weights(batch.mean_of_rows(loss_T.detach()))
        return loss_T * weight_B[batch.row_of_position()]

    def _plain(self, backbone: nn.Module, batch: SequenceBatch, seed: int) -> tuple[Tensor, Tensor | None]:
        """The objective's losses and the states, if there are any."""
        if isinstance(backbone, RoutedByRow):
            return self._of_parts(backbone, batch, seed)
        draw = self._draw(batch, seed)
        if isinstance(backbone, Encoder):
            states_TD = backbone.encode(batch)
            return self.objective(states_TD, batch.targets_T, loss_table(backbone), draw), states_TD
        assert isinstance(backbone, CandidateScorer)
        assert isinstance(self.objective, CandidateObjective)  # the composition root refuses the others by name
        return self.objective.of_candidates(partial(backbone.candidate_logits, batch), batch.targets_T, draw), None

    def _of_parts(self, backbone: RoutedByRow, batch: SequenceBatch, seed: int) -> tuple[Tensor, Tensor | None]:
        """Each part's losses and states, put back in the batch's order."""
        parts = backbone.parts(batch)
        if len(parts) == 1:
            return self._plain(parts[0][0], batch, seed)
        numbered = replace(batch, items_T=torch.arange(batch.items_T.numel(), device=batch.items_T.device))
        place_T = torch.cat([numbered.select(rows).items_T for _, rows in parts])
        losses, states = zip(*(self._plain(model, batch.select(rows), seed) for model, rows in parts), strict=True)
        return put_back(losses, place_T), None if states[0] is None else put_back(states, place_T)

    def _draw(self, batch: SequenceBatch, seed: int) -> Draw:
        if not self.objective.draws:
            return Draw(seed=seed, step=batch.step, key_N=batch.items_T[:0])
        # A target's identity is its user and its distance from the row's start: the same in any batch layout.
        place_T = batch.user_key_B[batch.row_of_position()] + batch.index_in_row()
        return Draw(seed=seed, step=batch.step, key_N=mix_tensor(seed, place_T))
