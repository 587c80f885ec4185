"""From a batch to the loss of every target: the only place that combines a backbone with an objective.

Every position has a target, but where not every event is one (`SequenceBatch.has_gaps`): a position without one feeds the states of
later ones and is kept from the objective by selection. T positions, N of them with a target.

An Encoder hands its states to the objective, together with its item table. A CandidateScorer has no states: the objective draws its
candidates first and gets their scores. A RoutedByRow backbone is several: each computes the losses of its own rows.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.core.columns import PAD
from ltrec.core.hashing import mix_tensor
from ltrec.models.backbones import CandidateScorer, Encoder
from ltrec.models.inputs import ColumnItems
from ltrec.models.inputs.alone import alone
from ltrec.models.plugins import RoutedByRow, WithPlugins
from ltrec.models.plugins.by_stratum import put_back
from ltrec.models.segments import Segments, current, drawn_by
from ltrec.objectives import CandidateObjective, Draw, Objective
from ltrec.objectives.draw import FewItemsObjective, ScoreCandidates
from ltrec.objectives.emphasis import Choice, Emphasis
from ltrec.objectives.item_table import loss_table
from ltrec.training.examples import user_means


class PositionLosses(nn.Module):
    """Loss of every target of a batch.

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
        """Whether a target's loss depends on other rows of the micro-batch."""
        return self.objective.coupled or self.emphasis.coupled

    def read_items(self, batch: SequenceBatch, seed: int) -> Tensor:
        """The items that the objective reads for the batch besides the targets [M]; arguments as of `forward`."""
        assert isinstance(self.objective, FewItemsObjective)
        return self.objective.read_items(batch.of_targets(batch.targets_T), self._draw(batch, seed)).flatten()

    def forward(self, backbone: nn.Module, batch: SequenceBatch, seed: int, unit: str = "target") -> tuple[Tensor, Tensor | None]:
        """Losses [N], which no weight multiplies yet, and, of an Encoder, the states [T, D] that they were computed from.

        Args:
            backbone: an Encoder; a CandidateScorer, if the objective is a CandidateObjective; or several of either.
            batch: with targets.
            seed: root of random draws.
            unit: what an example is: `target`, or `user`, whose loss the caller takes for the mean of his targets'.
        """
        plain_N, states_TD = self._plain(backbone, batch, seed)
        loss_N = self._emphasised(plain_N, batch, unit)
        extra_T = backbone.extra_losses(batch, states_TD) if isinstance(backbone, WithPlugins) else None
        return (loss_N if extra_T is None else loss_N + batch.of_targets(extra_T)), states_TD

    def _emphasised(self, loss_N: Tensor, batch: SequenceBatch, unit: str) -> Tensor:
        """A choice is made among examples: all targets of a user have one weight, which his mean has, too. Else by target."""
        if not isinstance(self.emphasis, Choice):
            return self.emphasis(loss_N)
        if unit == "target":
            weight_N = None if batch.weight_T is None else batch.of_targets(batch.weight_T)
            return loss_N * self.emphasis.weights(loss_N, weight_N)
        mean_R, rows_R = user_means(batch, loss_N.detach())
        weight_R = self.emphasis.weights(mean_R)
        weight_B = weight_R if rows_R is None else weight_R.new_zeros(batch.num_rows).index_copy(0, rows_R, weight_R)
        return loss_N * weight_B[batch.of_targets(batch.row_of_position())]

    def _plain(self, backbone: nn.Module, batch: SequenceBatch, seed: int) -> tuple[Tensor, Tensor | None]:
        """The objective's losses and the states, if there are any."""
        if isinstance(backbone, RoutedByRow):
            return self._of_parts(backbone, batch, seed)
        draw = self._draw(batch, seed)
        if callable(getattr(backbone, "encode", None)):  # asked whether it is an Encoder, Python 3.11 would compute its item table
            states_TD = cast(Encoder, backbone).encode(batch)
            targets_N, table, segments = batch.of_targets(batch.targets_T), loss_table(backbone), current()
            if segments is not None and isinstance(table, ColumnItems):
                return self._by_segment(segments, states_TD, targets_N, table, draw), states_TD
            return self.objective(batch.of_targets(states_TD), targets_N, table, draw), states_TD
        assert isinstance(backbone, CandidateScorer)
        assert isinstance(self.objective, CandidateObjective)  # the composition root refuses the others by name
        return self.objective.of_candidates(_scores_of(backbone, batch), batch.of_targets(batch.targets_T), draw), None

    def _by_segment(self, segments: Segments, states_TD: Tensor, targets_T: Tensor, table: ColumnItems, draw: Draw) -> Tensor:
        """The losses of every segment, each with item vectors of its own. Every position has a target."""
        losses, states = [], torch.split(states_TD, [stop - start for start, stop in pairwise(segments.borders)])
        for number, run in segments.runs():
            own = replace(draw, key_N=draw.key_N[run])
            with drawn_by(number), alone(number, table):
                losses.append(self.objective(states[number], targets_T[run], table, own))
        return torch.cat(losses)

    def _of_parts(self, backbone: RoutedByRow, batch: SequenceBatch, seed: int) -> tuple[Tensor, Tensor | None]:
        """Each part's losses and states, put back in the batch's order."""
        parts = backbone.parts(batch)
        if len(parts) == 1:
            return self._plain(parts[0][0], batch, seed)
        numbered = replace(batch, items_T=torch.arange(batch.items_T.numel(), device=batch.items_T.device))
        chosen = [numbered.select(rows) for _, rows in parts]
        place_T = torch.cat([part.items_T for part in chosen])
        place_N = torch.cat([part.of_targets(part.items_T) for part in chosen])
        if batch.has_gaps:
            place_N = (batch.targets_T > 0).cumsum(0)[place_N] - 1
        losses, states = zip(*(self._plain(model, batch.select(rows), seed) for model, rows in parts), strict=True)
        return put_back(losses, place_N), None if states[0] is None else put_back(states, place_T)

    def _draw(self, batch: SequenceBatch, seed: int) -> Draw:
        if not self.objective.draws:
            return Draw(seed=seed, step=batch.step, key_N=batch.items_T[:0])
        # A target's identity is its user and its distance from the row's start: the same in any batch layout.
        place_T = batch.user_key_B[batch.row_of_position()] + batch.index_in_row()
        return Draw(seed=seed, step=batch.step, key_N=mix_tensor(seed, batch.of_targets(place_T)))


def _scores_of(backbone: CandidateScorer, batch: SequenceBatch) -> ScoreCandidates:
    """Candidates of every target -> their scores. A scorer scores at every position: of one without a target, nothing is taken."""
    if not batch.has_gaps:
        return partial(backbone.candidate_logits, batch)
    place_N = (batch.targets_T > 0).nonzero()[:, 0]

    def score(items_NM: Tensor) -> Tensor:
        items_TM = items_NM.new_full((batch.items_T.numel(), items_NM.shape[1]), PAD).index_copy(0, place_N, items_NM)
        return backbone.candidate_logits(batch, items_TM)[place_N]

    return score
