"""Batches: the arrays of a few steps, cut into micro-batches that share their memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ltrec.core.batch import SequenceBatch
from ltrec.core.ragged import I64
from ltrec.core.rows.on_host import HostRows
from ltrec.core.rows.touched import distinct
from ltrec.data.stream.reading.rows import Values
from ltrec.data.stream.recycled import Recycled
from ltrec.data.stream.windows import Windows


@dataclass(frozen=True, slots=True)
class BatchForm:
    """What batches are like.

    Attributes:
        steps: numbers of the steps.
        accumulate: micro-batches of a step.
        events: columns of events: name in a batch -> name on disk.
        num_strata: K.
        has_gaps: whether some positions have no target.
        place: puts what travels to a device into memory from which it travels well.
        memory: is used again when the batches are gone.
    """

    steps: range
    accumulate: int
    events: Mapping[str, str]
    num_strata: int
    has_gaps: bool
    place: Callable[[Tensor], Tensor]
    memory: Recycled

    @property
    def parts(self) -> int:
        """Micro-batches of all steps."""
        return len(self.steps) * self.accumulate


def cut_batches(form: BatchForm, windows: Windows, user_key: I64, slot: I64, users: Mapping[str, Values]) -> list[SequenceBatch]:
    """The micro-batches of all steps, in order.

    Args:
        form: what they are like.
        windows: the rows, a micro-batch after the other.
        user_key: [R].
        slot: [R].
        users: columns of users by name.
    """
    lengths = windows.length.reshape(form.parts, -1)
    offsets = np.zeros((form.parts, lengths.shape[1] + 1), np.int64)
    np.cumsum(lengths, axis=1, out=offsets[:, 1:])
    positions: list[int] = offsets[:, -1].tolist()
    of_positions = _of_positions(form, windows, positions)
    events = {name: _cut(form, array, positions) for name, array in windows.columns(form.events).items()}
    host = [_in_rows(form, array) for array in (windows.length, windows.stratum, slot)]
    keys = {"user_key_B": user_key, "stratum_B": windows.stratum, "slot_B": slot}
    of_rows = {name: _in_rows(form, array, form.place) for name, array in keys.items()}
    own = {name: _in_rows(form, array, form.place) for name, array in users.items()}
    of_steps = _of_steps(form, windows, of_positions)
    of_parts = {"offsets": form.place(torch.from_numpy(offsets)).unbind(), **of_positions, **of_rows}
    each = zip(*(_each(form.parts, named) for named in (of_parts, events, own)), map(HostRows, *host), strict=True)
    steps = _each(len(form.steps), of_steps)
    return [
        SequenceBatch(
            step=form.steps[part // form.accumulate],
            micro=part % form.accumulate,
            events=of_events,
            users=of_users,
            has_gaps=form.has_gaps,
            host=known,
            **tensors,
            **steps[part // form.accumulate],
        )
        for part, (tensors, of_events, of_users, known) in enumerate(each)
    ]


def _each(count: int, named: Mapping[str, Sequence[Tensor]]) -> list[dict[str, Tensor]]:
    """The tensors of each of so many parts by name, from the sequences of all parts."""
    if not named:
        return [{} for _ in range(count)]
    return [dict(zip(named, tensors, strict=True)) for tensors in zip(*named.values(), strict=True)]


def _of_positions(form: BatchForm, windows: Windows, positions: list[int]) -> dict[str, Sequence[Tensor]]:
    """Items, targets and their weights, if any, by micro-batch."""
    both = form.memory.tensor((2, windows.positions))
    windows.items_and_targets(both.numpy())
    found = zip(("items_T", "targets_T"), form.place(both).unbind(), strict=True)
    parts: dict[str, Sequence[Tensor]] = {name: torch.split_with_sizes(tensor, positions) for name, tensor in found}
    weights = windows.weights()
    return parts if weights is None else {**parts, "weight_T": _cut(form, weights, positions)}


def _of_steps(form: BatchForm, windows: Windows, of_positions: Mapping[str, Sequence[Tensor]]) -> dict[str, Sequence[Tensor]]:
    """What all micro-batches of a step carry of the whole step."""
    found: dict[str, Sequence[Tensor]] = {"step_counts_K": torch.from_numpy(windows.examples(form.num_strata)).unbind()}
    if (sums := windows.sums_of_weights(form.num_strata)) is not None:
        found |= {"step_weights_K": torch.from_numpy(sums[0]).unbind(), "step_squares_K": torch.from_numpy(sums[1]).unbind()}
    if form.accumulate > 1:
        items, targets, size = of_positions["items_T"], of_positions["targets_T"], form.accumulate
        of_steps = [slice(first, first + size) for first in range(0, form.parts, size)]
        found["step_items"] = [form.place(distinct(torch.cat([*items[own], *targets[own]]))) for own in of_steps]
    return found


def _cut(form: BatchForm, values: Values, positions: list[int]) -> Sequence[Tensor]:
    """A value of every position, by micro-batch."""
    return torch.split_with_sizes(form.place(torch.from_numpy(values)), positions)


def _in_rows(form: BatchForm, values: Values, place: Callable[[Tensor], Tensor] = lambda tensor: tensor) -> Sequence[Tensor]:
    """A value of every row, by micro-batch."""
    whole = place(torch.from_numpy(values))
    return whole.view(form.parts, -1, *whole.shape[1:]).unbind()
