"""A stage in forty lines of plain torch: everything the engine may ask of one, small enough for K x W x A runs in a blink.

It has what real models have and engines get wrong: an item table that is tied twice, a frozen parameter, one that nobody uses, one
that only stratum 0 uses, optional plugins, and an optional loss that couples rows (in-batch negatives).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.core.losses import ExampleLosses

ITEMS, WIDTH = 11, 3


class ToyStage(nn.Module):
    """Predict the next item from the mean of the row so far.

    Args:
        num_strata: K.
        plugins: whether every stratum adds a layer of its own.
        couples_rows: whether the negatives are the targets of the whole batch.
        items: rows of the item table; batches use the first few.
        first: the stratum that has a parameter of its own in the trunk; -2 for none.
        seed: of the initial parameters, the same on every rank.
        dtype: of the parameters.
    """

    def __init__(
        self,
        num_strata: int,
        *,
        plugins: bool = False,
        couples_rows: bool = False,
        items: int = ITEMS,
        first: int = 0,
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        self.num_strata, self.couples_rows, self.first = num_strata, couples_rows, first
        draw = torch.Generator().manual_seed(seed)

        def matrix(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=draw, dtype=torch.float64).to(dtype))

        self.table = matrix(items + 1, WIDTH)
        self.mix = matrix(WIDTH, WIDTH)
        self.frozen = matrix(WIDTH).requires_grad_(False)
        self.unused = matrix(2, 2)
        self.only_first = matrix(WIDTH)
        self.head = self.table  # tied: the same parameter under a second name
        self.plugins = nn.ParameterList([matrix(WIDTH, WIDTH) for _ in range(num_strata if plugins else 0)])
        self.dropout_seeds: list[tuple[int, int, int | None]] = []

    def losses(self, batch: SequenceBatch) -> ExampleLosses:
        """Cross-entropy of every target, over all items or over the batch's targets."""
        row_T = batch.row_of_position()
        stratum_T = batch.stratum_B[row_T]
        sums_TD = torch.cat([self.table.new_zeros(1, WIDTH), self.table[batch.items_T].cumsum(0)])
        first_T = batch.offsets[row_T]
        mean_TD = (sums_TD[1:] - sums_TD[first_T]) / (batch.index_in_row() + 1)[:, None]
        state_TD = torch.tanh(mean_TD @ self.mix + self.frozen)
        state_TD = state_TD + torch.where(stratum_T == self.first, 1.0, 0.0).to(state_TD.dtype)[:, None] * self.only_first
        if self.plugins:
            state_TD = state_TD + self._plugged(state_TD, stratum_T)
        state_ND, stratum_N, targets_N = (batch.of_targets(values) for values in (state_TD, stratum_T, batch.targets_T))
        candidates = self.head[targets_N] if self.couples_rows else self.head[: ITEMS + 1]
        own_N = (state_ND * self.head[targets_N]).sum(1)
        loss_N = torch.logsumexp(state_ND @ candidates.T, 1) - own_N
        if batch.weight_T is None:
            return ExampleLosses(loss_N, stratum_N)
        weight_N = batch.of_targets(batch.weight_T).to(loss_N.dtype)
        return ExampleLosses(loss_N * weight_N, stratum_N, weight_N)

    def _plugged(self, state_TD: Tensor, stratum_T: Tensor) -> Tensor:
        extra_TD = torch.zeros_like(state_TD)
        for stratum, plugin in enumerate(self.plugins):
            mine = (stratum_T == stratum).nonzero().squeeze(1)
            if mine.numel():
                extra_TD = extra_TD.index_add(0, mine, torch.tanh(state_TD[mine] @ plugin))
        return extra_TD

    def seed_dropout(self, batch: SequenceBatch, stratum: int | None = None) -> None:
        """There is no dropout; remember the keys."""
        self.dropout_seeds.append((batch.step, batch.micro, stratum))


def toy_owner(name: str) -> int | None:
    """The stratum whose plugin a parameter is; None for the trunk."""
    return int(name.split(".")[1]) if name.startswith("plugins.") else None
