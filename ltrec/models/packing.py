"""Packed rows by time: the order that a recurrent layer reads them in.

    rows a a | b b b b | c          time 0: b a c     time 1: b a     time 2: b     time 3: b

Rows are ranked by descending length, so that the rows alive at any time are the first ones of those before. That is torch's
`PackedSequence`: no padding, and a state is carried from a row's own past only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from ltrec.core.rows.on_host import HostRows, to_device
from ltrec.models.layout import take_distinct


@dataclass(frozen=True, slots=True)
class TimeLayout:
    """Cells of the time-ordered form.

    Attributes:
        cell_T: int64 [T], the cell of every packed position; all distinct.
        alive: int64 [length] on the CPU, rows alive at each time, non-increasing.
        num_cells: their sum.
    """

    cell_T: Tensor
    alive: Tensor
    num_cells: int

    def by_time(self, values_TC: Tensor) -> PackedSequence:
        """Packed values [T, C] in order of time; zero in cells without a position."""
        cells_SC = values_TC.new_zeros(self.num_cells, values_TC.shape[1]).index_copy(0, self.cell_T, values_TC)
        return PackedSequence(cells_SC, self.alive)

    def by_row(self, sequence: PackedSequence) -> Tensor:
        """The inverse of `by_time`: [T, C]."""
        return take_distinct(sequence.data, self.cell_T)


def time_layout(offsets: Tensor, num_positions: int, max_len: int, host: HostRows | None = None) -> TimeLayout:
    """Order the rows that `offsets` [B+1] delimits, each of at most `max_len` positions, `num_positions` > 0 together, by time.

    An accelerator's lengths cannot be read without stalling it, so there the layout is only tight if the host knows them (`host`).
    """
    if host is None and offsets.device.type != "cpu":
        return full_layout(offsets, num_positions, max_len)
    return tight_layout(offsets, num_positions, host)


def tight_layout(offsets: Tensor, num_positions: int, host: HostRows | None = None) -> TimeLayout:
    """As many cells as positions."""
    lengths_B = offsets[1:] - offsets[:-1] if host is None else host.lengths_B
    rank_B = torch.empty_like(lengths_B)
    rank_B[lengths_B.argsort(descending=True, stable=True)] = torch.arange(lengths_B.numel())
    alive = lengths_B.numel() - torch.bincount(lengths_B).cumsum(0)[:-1]
    row_T, time_T = _places(offsets, num_positions)
    before, rank_B = (to_device(values, offsets.device) for values in (alive.cumsum(0) - alive, rank_B))
    return TimeLayout(before[time_T] + rank_B[row_T], alive, num_positions)


def cells_of_parts(offsets: Tensor, layout: TimeLayout, part_rows: Sequence[int]) -> Tensor:
    """The cell that each cell of a tight layout would be if every part were laid out alone, part after part [S].

    Args:
        offsets: of the rows.
        layout: theirs.
        part_rows: rows of every part, which follow each other.
    """
    own_T = []
    for first, last in pairwise(accumulate(part_rows, initial=0)):
        start, stop = int(offsets[first]), int(offsets[last])
        if stop > start:
            own_T.append(tight_layout(offsets[first : last + 1] - start, stop - start).cell_T + start)
    return torch.empty_like(layout.cell_T).index_copy_(0, layout.cell_T, torch.cat(own_T))


def full_layout(offsets: Tensor, num_positions: int, max_len: int) -> TimeLayout:
    """Every row counts as alive for `max_len` times. What follows its last position is zeros that no position sees."""
    num_rows = offsets.numel() - 1
    row_T, time_T = _places(offsets, num_positions)
    return TimeLayout(time_T * num_rows + row_T, torch.full((max_len,), num_rows), max_len * num_rows)


def _places(offsets: Tensor, num_positions: int) -> tuple[Tensor, Tensor]:
    """Row and time of every position [T]."""
    rows_B = torch.arange(offsets.numel() - 1, device=offsets.device)
    row_T = torch.repeat_interleave(rows_B, offsets.diff(), output_size=num_positions)
    return row_T, torch.arange(num_positions, device=offsets.device) - offsets[row_T]
