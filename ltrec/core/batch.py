"""SequenceBatch: the record that travels loader -> module -> backbone. Jagged: nothing is padded unless a kernel needs it.

    row 0: a b c        items_T   = [a b c | d e]        offsets = [0 3 5]
    row 1: d e          targets_T = [b c x | e y]        (the item that came next)

Letters: B rows, T positions of all rows together, N positions with a target, K strata.

Everything that belongs to positions or to rows is listed once, in `_OF_POSITIONS` and `_OF_ROWS`: choosing, cutting and joining
walk over these lists, columns (`ltrec.columns`) with the rest, and know none of them by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from ltrec.core.rows.on_host import HostRows, note_rows, to_device


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
        events: columns of events by name, [T] or [T, w]: at every position what is known of the event whose item `items_T` holds.
        users: columns of users by name, [B] or [B, w].
        weight_T: float32 [T], what the loss of a position is multiplied by: the weight of its *target's* event. None: all one.
        step_weights_K: float64 [K], sums of the weights of the examples that `step_counts_K` counts; on the CPU. None: the counts.
        step_squares_K: float64 [K], sums of the squares of these weights, for effective sample sizes.
        has_gaps: whether positions without a target stand among those with one, because not every event is a target. They feed the
            states and have no loss. Known to the host, and the same in all batches of a data set.
        host: lengths, strata and slots of the rows on the CPU, as the loader knows them; None: nobody has said.
        step_items: int64 [R], the distinct inputs and targets of all of this rank's micro-batches of the step; None where the step
            has this one alone.
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
    events: Mapping[str, Tensor] = field(default_factory=dict)
    users: Mapping[str, Tensor] = field(default_factory=dict)
    weight_T: Tensor | None = None
    step_weights_K: Tensor | None = None
    step_squares_K: Tensor | None = None
    has_gaps: bool = False
    step_items: Tensor | None = None
    host: HostRows | None = None

    @staticmethod
    def of_histories(
        items_T: Tensor,
        offsets: Tensor,
        stratum_B: Tensor,
        user_key_B: Tensor,
        events: Mapping[str, Tensor] | None = None,
        users: Mapping[str, Tensor] | None = None,
    ) -> SequenceBatch:
        """A batch without targets, for scoring."""
        nothing = torch.zeros(0, dtype=torch.int64)
        rows = SequenceBatch(items_T, torch.zeros_like(items_T), offsets, stratum_B, user_key_B, nothing)
        return replace(rows, events=events or {}, users=users or {})

    @staticmethod
    def concatenate(parts: Sequence[SequenceBatch]) -> SequenceBatch:
        """The rows of all parts, in order; step, counts and weights of the step are the first one's. All have the same columns."""
        lengths = torch.cat([part.lengths_B for part in parts])
        joined = {name: _joined([getattr(part, name) for part in parts]) for name in (*_OF_POSITIONS, *_OF_ROWS)}
        return replace(parts[0], offsets=_offsets(lengths), host=HostRows.concatenate([part.host for part in parts]), **joined)

    @property
    def num_rows(self) -> int:
        """B."""
        return self.offsets.numel() - 1

    @property
    def lengths_B(self) -> Tensor:
        """Positions per row [B]."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def known(self) -> HostRows:
        """The rows as the host sees them. If nobody has said, they are read: of a batch on an accelerator, that waits for it."""
        if self.host is not None:
            return self.host
        slot_B = None if self.slot_B is None else self.slot_B.cpu()
        return HostRows(self.lengths_B.cpu(), self.stratum_B.cpu(), slot_B)

    @property
    def is_empty(self) -> bool:
        """Whether there is no position, or none with a target among those that could have one."""
        return not self.items_T.numel() or (self.has_gaps and not bool((self.targets_T > 0).any()))

    def at(self, step: int, micro: int) -> SequenceBatch:
        """The same rows at another step and micro-batch."""
        return replace(self, step=step, micro=micro)

    def row_of_position(self) -> Tensor:
        """Row number of every position [T]."""
        rows = torch.arange(self.num_rows, device=self.offsets.device)
        return torch.repeat_interleave(rows, self.lengths_B, output_size=self.items_T.numel())

    def stratum_of_position(self) -> Tensor:
        """Stratum of every position's row [T]."""
        strata_T = torch.repeat_interleave(self.stratum_B, self.lengths_B, output_size=self.items_T.numel())
        return note_rows(strata_T, self.host)

    def index_in_row(self) -> Tensor:
        """Distance from the row's first position [T]: 0, 1, 2, ..."""
        positions = torch.arange(self.items_T.numel(), device=self.offsets.device)
        return positions - self.offsets[self.row_of_position()]

    def mean_of_rows(self, values_T: Tensor) -> Tensor:
        """Mean over each row's positions [B]; 0 for a row without any."""
        total_B = values_T.new_zeros(self.num_rows).index_add(0, self.row_of_position(), values_T)
        return total_B / self.lengths_B.clamp(min=1)

    def of_targets(self, values_T: Tensor) -> Tensor:
        """Values of the positions that have a target [N, ...]: the examples, where an example is a target."""
        return values_T[self.targets_T > 0] if self.has_gaps else values_T

    def select(self, rows: Tensor) -> SequenceBatch:
        """The sub-batch of the given row numbers [b], in that order; step and counts stay those of the whole.

        Numbers on the CPU do not make the host wait, whatever the batch's device, if the host knows the rows.
        """
        host = self.host.take(rows) if self.host is not None and rows.device.type == "cpu" else None
        rows = to_device(rows, self.offsets.device)
        return self._runs(rows, self.offsets[rows], self.lengths_B[rows], host)

    def last(self, rows: Tensor, lengths: Tensor) -> SequenceBatch:
        """As `select`, and of every row only so many of its last positions [b]."""
        return self._runs(rows, self.offsets[1:][rows] - lengths, lengths)

    def _runs(self, rows: Tensor, starts: Tensor, lengths: Tensor, host: HostRows | None = None) -> SequenceBatch:
        """A run of positions of each of the given rows: from `starts` on, so many."""
        offsets, total = _offsets(lengths), None if host is None else host.num_positions
        shift = torch.repeat_interleave(starts - offsets[:-1], lengths, output_size=total)
        take = torch.arange(shift.numel(), device=shift.device) + shift
        return self._take(offsets, host, lambda values_T: values_T[take], lambda values_B: values_B[rows])

    def split(self, rows: Sequence[int]) -> list[SequenceBatch]:
        """Consecutive sub-batches of so many rows each, sharing memory with this one."""
        borders, known = list(accumulate(rows, initial=0)), self.known
        places = known.borders(borders)
        return [
            self._take(
                self.offsets[first : last + 1] - start,
                known.take(slice(first, last)),
                lambda values_T, start=start, stop=stop: values_T[start:stop],
                lambda values_B, first=first, last=last: values_B[first:last],
            )
            for (first, last), (start, stop) in zip(pairwise(borders), pairwise(places), strict=True)
        ]

    def _take(
        self, offsets: Tensor, host: HostRows | None, of_positions: Callable[..., Tensor], of_rows: Callable[..., Tensor]
    ) -> SequenceBatch:
        taken = {name: _changed(getattr(self, name), of_positions) for name in _OF_POSITIONS}
        taken |= {name: _changed(getattr(self, name), of_rows) for name in _OF_ROWS}
        return replace(self, offsets=offsets, host=host, **taken)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SequenceBatch:
        """A copy whose tensors live on `device`, except for the step's counts and weights. What leaves the CPU keeps its rows
        there, so that no one waits for them."""
        leaves = self.offsets.device.type == "cpu" and torch.device(device).type != "cpu"
        moved = self._map(lambda t: t.to(device, non_blocking=non_blocking))
        return replace(moved, host=self.known) if leaves else moved

    def pin_memory(self) -> SequenceBatch:
        """A copy in page-locked memory, for asynchronous transfers."""
        return self._map(lambda t: t.pin_memory())

    def of_the_device(self) -> Iterator[Any]:
        """What `to` moves: tensors, and the tensors of mappings."""
        for name in (f.name for f in fields(self) if f.name not in _OF_THE_HOST):
            value = getattr(self, name)
            yield from value.values() if isinstance(value, Mapping) else [value]

    def _map(self, change: Callable[[Tensor], Tensor]) -> SequenceBatch:
        names = [f.name for f in fields(self) if f.name not in _OF_THE_HOST]
        return replace(self, **{name: _changed(getattr(self, name), change) for name in names})


_OF_POSITIONS = ("items_T", "targets_T", "events", "weight_T")
_OF_ROWS = ("stratum_B", "user_key_B", "slot_B", "users")
_OF_THE_HOST = ("step_counts_K", "step_weights_K", "step_squares_K", "step", "micro", "has_gaps", "host")


def _changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A tensor, a mapping of tensors, or None."""
    if isinstance(value, Tensor):
        return change(value)
    return None if value is None else {name: change(column) for name, column in value.items()}


def _joined(values: Sequence[Any]) -> Any:
    first = values[0]
    if isinstance(first, Tensor):
        return torch.cat(list(values))
    return None if first is None else {name: torch.cat([columns[name] for columns in values]) for name in first}


def _offsets(lengths: Tensor) -> Tensor:
    """Where rows of such lengths begin, and the end of the last."""
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
