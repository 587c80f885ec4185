"""MELT's user branch (Kim et al., SIGIR 2023), a rival of PIN's plugins: a linear map from the states of short histories to what
long ones would have been. It is learned where both are known, on head users, by forgetting:

    training    r = a suffix of a head row, of random length R in [1, threshold)
                l_u = c ||W phi(r) - phi(row)||^2            added to the loss of each of the row's positions, times lambda
    scoring     tail:  phi + W phi          head:  phi       threshold = fewest training events of a head user

W starts at zero, so that it changes nothing at first. The curriculum c goes from the longest rows to those just over the threshold:

    c = |sin(pi/2 (p + q))|     p = progress, from 0 to 1       q = (length - threshold - 1) / (longest - threshold - 1)

From MELT: the branch, its loss, curriculum and use. Different here: the item branch is left out (it is about tail *items*); p is in
steps since the map woke, not epochs, and 1 from `ramp_steps` on; lengths are positions of the training window, so `longest` is
stream.max_len, and q is clipped to [0, 1]; phi(row) is a constant, as a target is; and R is drawn from (seed, step, user), the same
wherever a row is computed. W is in the second stage only, as MELT starts from a trained encoder. It is no stratum's own, though
only head losses train it, and a stratified run combines it like the trunk.

lambda's meaning: with the mean loss per target, the term is lambda times the mean of l_u over all targets, a tail user's being 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.core.errors import UserError
from ltrec.core.hashing import mix, mix_tensor, uniform
from ltrec.core.strata import Strata
from ltrec.models.backbones.protocol import Encoder
from ltrec.models.inputs import ItemVectors
from ltrec.models.plugins.awake import Awake
from ltrec.models.scoring import all_scores

_SUFFIX = 0x4D454C54  # keeps these draws apart from those of other purposes


class Melt(nn.Module):
    """An Encoder with the map; `WithPlugins`, see `ltrec.models.plugins`.

    Args:
        trunk: an Encoder.
        strata: the head among them is that from `first_head` on.
        seed: of the suffixes.
        max_len: longest row.
        weight, ramp_steps: see `MeltConfig`.

    Raises:
        UserError: the backbone has no states, or there is no tail.
    """

    def __init__(self, trunk: nn.Module, *, strata: Strata, seed: int, max_len: int, weight: float, ramp_steps: int) -> None:
        super().__init__()
        if not isinstance(trunk, Encoder):
            raise UserError(f"MELT maps states, and {type(trunk).__name__} has none; use another backbone")
        if strata.first_head == strata.count:
            raise UserError("MELT teaches the tail by the head, and there is one stratum only; train with two strata or more")
        self.trunk: Encoder = trunk
        self.switch = Awake()
        width = trunk.item_table.shape[1]
        self.map = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.map.weight)
        self.first_head, self.threshold = strata.first_head, strata.lower_bounds[strata.first_head]
        self.seed, self.max_len, self.weight, self.ramp_steps = seed, max_len, weight, ramp_steps

    @property
    def awake(self) -> bool:
        """Whether the map takes part."""
        return bool(self.switch)

    def wake(self, step: int) -> None:
        """Let it."""
        self.switch.wake(step)

    def plugin_of(self, name: str) -> int | None:  # noqa: ARG002
        """The map belongs to no stratum."""
        return None

    # -- the encoder ------------------------------------------------------------------------------------------------------------

    @property
    def item_table(self) -> Tensor:
        """The trunk's own."""
        return self.trunk.item_table

    @property
    def item_vectors(self) -> ItemVectors | None:
        """The trunk's own, where it has them apart from a table."""
        vectors: ItemVectors | None = getattr(self.trunk, "item_vectors", None)
        return vectors

    def encode(self, batch: SequenceBatch) -> Tensor:
        """States after every position [T, D]: the trunk's, which training is about."""
        return self.trunk.encode(batch)

    def final_states(self, batch: SequenceBatch) -> Tensor:
        """States after the last position of every row [B, D]; of tail rows, what they might have been."""
        states_BD = self.trunk.final_states(batch)
        if not self.awake:
            return states_BD
        tail_B = (batch.stratum_B >= 0) & (batch.stratum_B < self.first_head)
        return torch.where(tail_B[:, None], states_BD + self.map(states_BD), states_BD)

    def scores(self, batch: SequenceBatch) -> Tensor:
        """Scores of all items [B, V+1]."""
        return all_scores(self.final_states(batch), self.item_table)

    # -- learning the map -------------------------------------------------------------------------------------------------------

    def extra_losses(self, batch: SequenceBatch, states_TD: Tensor | None) -> Tensor | None:
        """lambda l_u at every position of every head row [T], 0 elsewhere. The map takes part in every pass, as DDP requires."""
        assert states_TD is not None
        loss_B = states_TD.new_zeros(batch.num_rows) + self.map.weight.flatten()[:0].sum()
        if self.awake:
            rows_R = ((batch.stratum_B >= self.first_head) & (batch.lengths_B > 1)).nonzero()[:, 0]
            if rows_R.numel():
                loss_B = loss_B.index_copy(0, rows_R, self._losses(batch, rows_R, states_TD).to(loss_B.dtype))
        return self.weight * loss_B[batch.row_of_position()]

    def _losses(self, batch: SequenceBatch, rows_R: Tensor, states_TD: Tensor) -> Tensor:
        """l_u of some rows [R]."""
        lengths_R = batch.lengths_B[rows_R]
        suffixes = batch.last(rows_R, self.suffix_lengths(batch.user_key_B[rows_R], lengths_R, batch.step))
        whole_RD = states_TD[batch.offsets[1:][rows_R] - 1].detach()
        distance_R = (self.map(self.trunk.final_states(suffixes)) - whole_RD).square().sum(1)
        weighted_R: Tensor = self.curriculum(lengths_R, batch.step).to(distance_R.dtype) * distance_R
        return weighted_R

    def suffix_lengths(self, user_key_R: Tensor, lengths_R: Tensor, step: int) -> Tensor:
        """Uniform over 1 .. min(threshold, length) - 1, a function of (seed, step, user)."""
        most_R = (lengths_R.clamp(max=self.threshold) - 1).clamp(min=1)
        return 1 + (uniform(mix_tensor(mix(_SUFFIX, self.seed, step), user_key_R)) * most_R).long()

    def curriculum(self, lengths_R: Tensor, step: int) -> Tensor:
        """c of rows of such lengths [R], float64."""
        span = self.max_len - self.threshold - 1
        over_R = (lengths_R - self.threshold - 1).double()
        place_R = (over_R / span).clamp(0, 1) if span > 0 else torch.zeros_like(over_R)
        return (math.pi / 2 * (min(1.0, (step - self.switch.since) / self.ramp_steps) + place_R)).sin().abs()
