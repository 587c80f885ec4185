"""Fine-tuning by group, a rival of PIN's plugins: in the second stage every stratum trains a whole backbone of its own.

    stage 1     the trunk, for all
    wake        every stratum's copy takes over the trunk's values
    stage 2     a row goes through the copy of its stratum, and its loss trains nothing else

The strata share nothing but their common start: a copy fits its group at the price of less data, most where the group is
small. The copies' item tables differ, so these are K models without a common table: not an `Encoder`, whatever the
trunk is. Training runs them one by one (`parts`).

Memory: K + 1 models and their optimiser's states, from the start, so that a checkpoint's names never change; mode per_stratum holds
K rows of gradients of all that, so prefer weighted. Work: that of one.
"""

from __future__ import annotations

import copy
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.models.backbones.protocol import Scorer
from ltrec.models.plugins.awake import Awake
from ltrec.models.plugins.by_stratum import put_back


class Copies(nn.Module):
    """A trunk and K copies of it, `WithPlugins` and `RoutedByRow` (`ltrec.models.plugins`). Rows of stratum -1 stay with the trunk.

    Args:
        trunk: a Scorer.
        num_strata: K.
    """

    def __init__(self, trunk: nn.Module, *, num_strata: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.switch = Awake()
        self.copies = nn.ModuleList(copy.deepcopy(trunk) for _ in range(num_strata))

    @property
    def awake(self) -> bool:
        """Whether rows go through the copies."""
        return bool(self.switch)

    @torch.no_grad()
    def wake(self, step: int) -> None:
        """Give every copy the trunk's values, and rows to the copies."""
        for own in self.copies:
            pairs = zip(chain(own.parameters(), own.buffers()), chain(self.trunk.parameters(), self.trunk.buffers()), strict=True)
            for mine, common in pairs:
                mine.copy_(common)
        self.switch.wake(step)

    def plugin_of(self, name: str) -> int | None:
        """copies.<stratum>.<...> belongs to its stratum."""
        part = name.split(".")
        return int(part[1]) if part[0] == "copies" else None

    def extra_losses(self, batch: SequenceBatch, states_TD: Tensor | None) -> Tensor | None:  # noqa: ARG002
        """Zeros, by which the trunk, idle once the copies are awake, takes part in every backward pass, as DDP requires."""
        if not self.awake:
            return None
        return torch.stack([p.flatten()[:0].sum() for p in self.trunk.parameters()]).sum().expand(batch.items_T.numel())

    def parts(self, batch: SequenceBatch) -> list[tuple[nn.Module, Tensor]]:
        """The models that the batch needs, and the numbers of their rows: every row once, none with an empty part."""
        whole = torch.arange(batch.num_rows, device=batch.offsets.device)
        if not self.awake:
            return [(self.trunk, whole)]
        stratum_B = batch.known.stratum_B
        counts = torch.bincount(stratum_B + 1, minlength=len(self.copies) + 1).tolist()
        rows = torch.split(stratum_B.argsort(stable=True), counts)
        return [(model, own) for model, own in zip([self.trunk, *self.copies], rows, strict=True) if own.numel()]

    def scores(self, batch: SequenceBatch) -> Tensor:
        """Scores of all items [B, V+1]."""
        parts = self.parts(batch)
        if len(parts) == 1:
            return cast(Scorer, parts[0][0]).scores(batch)
        scores = [cast(Scorer, model).scores(batch.select(rows)) for model, rows in parts]
        return put_back(scores, torch.cat([rows for _, rows in parts]))
