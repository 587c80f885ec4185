"""What the host knows of a batch's rows without asking an accelerator: lengths, strata, places.

The loader knows them before the batch travels. Whatever must be decided in Python (how rows are grouped, how many are of a stratum)
is decided on these copies, so that a step never waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_NAME = "rows_on_host"


@dataclass(frozen=True, slots=True)
class HostRows:
    """B rows; all tensors are on the CPU.

    Attributes:
        lengths_B: int64 [B], positions of each row.
        stratum_B: int64 [B], -1 = none.
        slot_B: int64 [B], as of `SequenceBatch`.
    """

    lengths_B: Tensor
    stratum_B: Tensor
    slot_B: Tensor | None = None

    @property
    def num_positions(self) -> int:
        """T."""
        return int(self.lengths_B.sum())

    def take(self, rows: Tensor | slice) -> HostRows:
        """Some of the rows, by numbers on the CPU."""
        return HostRows(self.lengths_B[rows], self.stratum_B[rows], None if self.slot_B is None else self.slot_B[rows])

    def borders(self, rows: Sequence[int]) -> list[int]:
        """The first position of each of these rows; B stands for the end."""
        ends = torch.cat([self.lengths_B.new_zeros(1), self.lengths_B.cumsum(0)])
        places: list[int] = ends[list(rows)].tolist()
        return places

    def positions_of_strata(self, num_strata: int) -> list[int]:
        """Positions of no stratum, then of each: K + 1 numbers."""
        counts = self.lengths_B.new_zeros(num_strata + 1).index_add(0, self.stratum_B + 1, self.lengths_B)
        numbers: list[int] = counts.tolist()
        return numbers

    @staticmethod
    def concatenate(parts: Sequence[HostRows | None]) -> HostRows | None:
        """The rows of all parts, where each is known."""
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        slots = [part.slot_B for part in known if part.slot_B is not None]
        lengths_B, stratum_B = (torch.cat([getattr(part, name) for part in known]) for name in ("lengths_B", "stratum_B"))
        return HostRows(lengths_B, stratum_B, torch.cat(slots) if len(slots) == len(known) else None)


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Values of the host on a device, without waiting for it."""
    if values.device == device:
        return values
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def note_rows(strata_T: Tensor, rows: HostRows | None) -> Tensor:
    """Attach the rows to a tensor that holds the stratum of each of their positions; returns the tensor."""
    if rows is not None:
        setattr(strata_T, _NAME, rows)
    return strata_T


def rows_of_positions(strata_N: Tensor) -> HostRows | None:
    """The rows whose positions' strata these are; None: not known."""
    rows: HostRows | None = getattr(strata_N, _NAME, None)
    return rows
