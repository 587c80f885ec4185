"""The padded form of packed positions for attention, the only part of a packed model with padding.

Everything but attention works on [T, D], one line per real position. Attention needs rectangles, so rows are gathered by descending
length into groups [rows, length], each as long as its longest row:

    row lengths 5 2 4 2      group 0: a a a a a     group 1: b b     cells of all groups lie one behind the other
                                      c c c c .              d d

Rows are filled from the left. Under a causal mask no real position can then see a padding cell, and no padding mask is needed.

Rows of several parts, each of which draws its own random numbers, are grouped part by part, as if each were alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ltrec.core.rows.on_host import HostRows, to_device

GROUP_WASTE = 64
"""Padding cells that a group may collect. A further group costs about as much time as one or two hundred cells do (kernel calls
for every block, forward and backward), so few groups with little waste beat many without any; measured on short shopping
histories: 22 % padding with 128 rows, 14 % with 256."""

DEVICE_WASTE = 4
"""On an accelerator, where a further group costs launches and padding costs little, a group may collect this part of all positions:
1/4 in each group, so that there are about four."""


@dataclass(frozen=True, slots=True)
class AttentionLayout:
    """Cells of the padded form.

    Attributes:
        cell_T: int64 [T], the cell of every packed position; all distinct.
        groups: (rows, length) of every rectangle, in the order of their cells.
        elapsed: for every rectangle int [rows, length, length], the bucket of the time from the event of a key (last dimension) to
            that of a query; None where attention does not use time.
        parts: of every rectangle, the number of its part; None: there is one part.
    """

    cell_T: Tensor
    groups: tuple[tuple[int, int], ...]
    elapsed: tuple[Tensor, ...] | None = None
    parts: tuple[int, ...] | None = None

    @property
    def num_cells(self) -> int:
        """Cells of all groups together, padding included."""
        return sum(rows * length for rows, length in self.groups)

    def pad(self, values_TC: Tensor) -> list[Tensor]:
        """Spread packed values over their cells: one tensor [rows, length, C] per group, zero in padding cells."""
        padded_SC = values_TC.new_zeros(self.num_cells, values_TC.shape[1]).index_copy(0, self.cell_T, values_TC)
        parts = torch.split(padded_SC, [rows * length for rows, length in self.groups])
        return [part.view(rows, length, -1) for part, (rows, length) in zip(parts, self.groups, strict=True)]

    def unpad(self, groups: Sequence[Tensor]) -> Tensor:
        """The inverse of `pad`: [T, C] from one tensor [rows, length, C] per group."""
        cells_SC = torch.cat([group.flatten(0, 1) for group in groups])
        return take_distinct(cells_SC, self.cell_T)


def attention_layout(
    offsets: Tensor, num_positions: int, max_len: int, host: HostRows | None = None, part_rows: Sequence[int] | None = None
) -> AttentionLayout:
    """Lay out the rows that `offsets` [B+1] delimits, each of at most `max_len` positions, `num_positions` together.

    Rows are grouped by length, if the host knows it (`host`). An accelerator's lengths cannot be read without stalling it, so there
    unknown rows form one group of `max_len`.

    Args:
        offsets: of the rows, and the end.
        num_positions: T.
        max_len: length of a row at most.
        host: the rows as the host knows them.
        part_rows: rows of every part, if they are to be grouped apart.
    """
    lengths_B, device = offsets[1:] - offsets[:-1], offsets.device
    parts: tuple[int, ...] | None = None
    if part_rows is not None:
        groups, parts, first_cell_B = _grouped_apart((lengths_B if host is None else host.lengths_B).cpu(), part_rows, device)
        first_cell_B = to_device(first_cell_B, device)
    elif host is None and device.type != "cpu":
        first_cell_B = torch.arange(lengths_B.numel(), device=device) * max_len
        groups = ((lengths_B.numel(), max_len),)
    else:
        groups, cells_B = _grouped(lengths_B if host is None else host.lengths_B, device)
        first_cell_B = to_device(cells_B, device)
    shift_T = torch.repeat_interleave(first_cell_B - offsets[:-1], lengths_B, output_size=num_positions)
    return AttentionLayout(shift_T + torch.arange(num_positions, device=device), groups, parts=parts)


def _grouped_apart(
    lengths_B: Tensor, part_rows: Sequence[int], device: torch.device
) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...], Tensor]:
    """Groups of each part's rows one after the other, the part of every group, and each row's first cell."""
    groups: list[tuple[int, int]] = []
    parts: list[int] = []
    cells: list[Tensor] = []
    start = 0
    for number, own_B in enumerate(torch.split(lengths_B, list(part_rows))):
        own, first_B = _grouped(own_B, device)
        groups += own
        parts += [number] * len(own)
        cells.append(first_B + start)
        start += sum(rows * length for rows, length in own)
    return tuple(groups), tuple(parts), torch.cat(cells)


def _grouped(lengths_B: Tensor, device: torch.device) -> tuple[tuple[tuple[int, int], ...], Tensor]:
    """Groups of rows, and each row's first cell; computed on the CPU, for this device."""
    more = {} if device.type == "cpu" else {"waste": max(GROUP_WASTE, int(lengths_B.sum()) // DEVICE_WASTE)}
    groups = length_groups(torch.bincount(lengths_B).tolist(), **more)
    width_B = torch.tensor([length for rows, length in groups for _ in range(rows)], dtype=torch.int64)
    first_cell_B = torch.zeros_like(lengths_B)  # empty rows stay outside of all groups
    first_cell_B[lengths_B.argsort(descending=True)[: width_B.numel()]] = width_B.cumsum(0) - width_B
    return groups, first_cell_B


def length_groups(rows_of_length: Sequence[int], waste: int = GROUP_WASTE) -> tuple[tuple[int, int], ...]:
    """Cut rows, longest first, into groups (rows, length) with at most `waste` padding cells each.

    `rows_of_length[l]` is the number of rows with l positions; empty rows belong to no group.
    """
    groups: list[tuple[int, int]] = []
    wasted = 0
    for length in range(len(rows_of_length) - 1, 0, -1):
        rows = rows_of_length[length]
        if not rows:
            continue
        wasted += rows * (groups[-1][1] - length) if groups else 0
        if groups and wasted <= waste:
            groups[-1] = (groups[-1][0] + rows, groups[-1][1])
        else:
            groups.append((rows, length))
            wasted = 0
    return tuple(groups)


def take_distinct(source_SC: Tensor, index_T: Tensor) -> Tensor:
    """`source[index]` for distinct indices: the gradient is copied, not added up (`index_add` is slow on the CPU)."""
    taken_TC: Tensor = _TakeDistinct.apply(source_SC, index_T)  # type: ignore[no-untyped-call]
    return taken_TC


class _TakeDistinct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, source_SC: Tensor, index_T: Tensor) -> Tensor:
        ctx.save_for_backward(index_T)
        ctx.num_cells = source_SC.shape[0]
        return source_SC.index_select(0, index_T)

    @staticmethod
    def backward(ctx: Any, grad_TC: Tensor) -> tuple[Tensor, None]:
        (index_T,) = ctx.saved_tensors
        return grad_TC.new_zeros(ctx.num_cells, grad_TC.shape[1]).index_copy(0, index_T, grad_TC), None
