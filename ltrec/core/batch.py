"""SequenceBatch: the record that travels loader -> module -> backbone. Jagged: nothing is padded unless a kernel needs it.

    row 0: a b c        items_T   = [a b c | d e]        offsets = [0 3 5]
    row 1: d e          targets_T = [b c x | e y]        (the item that came next)

Letters: B rows, T positions of all rows together, K strata.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class SequenceBatch:
    """Rows of item sequences with one target per position.

    Attributes:
        items_T: int64 [T], input items 1..V of all rows, oldest first within a row.
        targets_T: int64 [T], the item that followed; 0 where there is none (histories to be scored).
        offsets: int64 [B+1], row b owns positions offsets[b]:offsets[b+1].
        stratum_B: int64 [B], the stratum that the row counts as, and whose plugins it is routed through; -1 = none. In training the
            user's own; when a history is scored, that of the history's whole length.
        user_key_B: int64 [B], the user's 64-bit key.
        step_counts_K: int64 [K], examples (targets, or rows under stream.unit=user) per stratum in all of this *rank's*
            micro-batches of the step, known before the first forward pass; empty for histories. Stays on the CPU, where decisions
            are taken.
        step: global step (optimiser steps since the start of training); -1 for histories.
        micro: micro-batch number within the step.
        slot_B: int64 [B], each row's place in the order of drawing, before sorting by length, counted within its process. None: the
            rows are in that order.
    """

    items_T: Tensor
    targets_T: Tensor
    offsets: Tensor
    stratum_B: Tensor
    user_key_B: Tensor
    step_counts_K: Tensor
    step: int = -1
    micro: int = 0
    slot_B: Tensor | None = None

    @staticmethod
    def of_histories(items_T: Tensor, offsets: Tensor, stratum_B: Tensor, user_key_B: Tensor) -> SequenceBatch:
        """A batch without targets, for scoring."""
        nothing = torch.zeros(0, dtype=torch.int64)
        return SequenceBatch(items_T, torch.zeros_like(items_T), offsets, stratum_B, user_key_B, nothing)

    @property
    def num_rows(self) -> int:
        """B."""
        return self.offsets.numel() - 1

    @property
    def lengths_B(self) -> Tensor:
        """Positions per row [B]."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def is_empty(self) -> bool:
        """Whether there is no position."""
        return not self.items_T.numel()

    def at(self, step: int, micro: int) -> SequenceBatch:
        """The same rows at that place in training."""
        return replace(self, step=step, micro=micro)

    def row_of_position(self) -> Tensor:
        """Row number of every position [T]."""
        rows = torch.arange(self.num_rows, device=self.offsets.device)
        return torch.repeat_interleave(rows, self.lengths_B, output_size=self.items_T.numel())

    def stratum_of_position(self) -> Tensor:
        """Stratum of every position's row [T]."""
        return torch.repeat_interleave(self.stratum_B, self.lengths_B, output_size=self.items_T.numel())

    def index_in_row(self) -> Tensor:
        """Distance from the row's first position [T]: 0, 1, 2, ..."""
        positions = torch.arange(self.items_T.numel(), device=self.offsets.device)
        return positions - self.offsets[self.row_of_position()]

    def mean_of_rows(self, values_T: Tensor) -> Tensor:
        """Mean over each row's positions [B]; 0 for a row without any."""
        total_B = values_T.new_zeros(self.num_rows).index_add(0, self.row_of_position(), values_T)
        return total_B / self.lengths_B.clamp(min=1)

    def select(self, rows: Tensor) -> SequenceBatch:
        """The sub-batch of the given row numbers [b], in that order; step and counts stay those of the whole."""
        lengths = self.lengths_B[rows]
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        shift = torch.repeat_interleave(self.offsets[rows] - offsets[:-1], lengths)
        take = torch.arange(shift.numel(), device=shift.device) + shift
        return replace(
            self,
            items_T=self.items_T[take],
            targets_T=self.targets_T[take],
            offsets=offsets,
            stratum_B=self.stratum_B[rows],
            user_key_B=self.user_key_B[rows],
            slot_B=None if self.slot_B is None else self.slot_B[rows],
        )

    def split(self, rows: Sequence[int]) -> list[SequenceBatch]:
        """Consecutive sub-batches of so many rows each, sharing memory with this one; the host waits for the device once."""
        borders = list(accumulate(rows, initial=0))
        places = self.offsets[borders].tolist()
        return [
            replace(
                self,
                items_T=self.items_T[start:stop],
                targets_T=self.targets_T[start:stop],
                offsets=self.offsets[first : last + 1] - start,
                stratum_B=self.stratum_B[first:last],
                user_key_B=self.user_key_B[first:last],
                slot_B=None if self.slot_B is None else self.slot_B[first:last],
            )
            for (first, last), (start, stop) in zip(pairwise(borders), pairwise(places), strict=True)
        ]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SequenceBatch:
        """A copy whose tensors live on `device`, except for the step's counts."""
        return self._map(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> SequenceBatch:
        """A copy in page-locked memory, for asynchronous transfers."""
        return self._map(lambda t: t.pin_memory())

    def _map(self, change: Any) -> SequenceBatch:
        tensors = {f.name: change(v) for f in fields(self) if isinstance(v := getattr(self, f.name), Tensor)}
        return replace(self, **tensors | {"step_counts_K": self.step_counts_K})
