"""Assemble: a rank's draws for a few steps -> micro-batches of jagged tensors.

Slot j of a rank goes to micro-batch j mod A. The first slot of every rank is a multiple of A, so micro-batch a of *all* ranks
together holds the slots j of the whole step with j mod A = a, for any number of processes. Within a micro-batch the rows are
sorted by length, longest first (ties by slot), so that encoders can crop.

Steps are put together several at a time, as one array that is then cut: what Python does for an array costs as much as the array.
Letters: S steps, A micro-batches of each, R rows of all steps, B of a micro-batch, T positions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ltrec.core import columns as c
from ltrec.core.batch import SequenceBatch
from ltrec.core.hashing import order_of
from ltrec.data.stream.batches import BatchForm, cut_batches
from ltrec.data.stream.order.draws import Draws
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.quarantine.quarantine import Place
from ltrec.data.stream.reading.blocks import I64
from ltrec.data.stream.reading.projected import NO_COLUMNS, Projected
from ltrec.data.stream.reading.rows import taken
from ltrec.data.stream.reading.training_rows import Drawn, window_starts
from ltrec.data.stream.recycled import Recycled
from ltrec.data.stream.runs.loose_rows import LooseRows
from ltrec.data.stream.state import rows_digests
from ltrec.data.stream.windows import Windows


@dataclass(frozen=True, slots=True)
class Step:
    """A rank's share of one step: its micro-batches, the digest of its rows, and how many of them replace rows of each damaged row
    group."""

    micro_batches: list[SequenceBatch]
    digest: int
    replaced: Mapping[Place, int]


def assemble(
    plan: Plan,
    steps: range,
    lanes: range,
    *,
    accumulate: int,
    rows_of: Callable[[Draws], Drawn],
    columns: Projected = NO_COLUMNS,
    place: Callable[[Tensor], Tensor],
    memory: Recycled,
) -> list[Step]:
    """Build the rank's share of consecutive steps.

    Args:
        plan: the order; batches have its strata.
        steps: their numbers.
        lanes: the rank's.
        accumulate: micro-batches of a step.
        rows_of: gives the rows of a draw.
        columns: what batches carry besides items.
        place: puts what travels to a device into memory from which it travels well.
        memory: is used again when the batches are gone.
    """
    draws = plan.draws_of(steps, lanes)
    drawn = [rows_of(draw) for draw in draws]
    step, slot = (np.concatenate([getattr(draw, name) for draw in draws]) for name in ("steps", "slots"))
    rows = LooseRows.concatenate([one.rows for one in drawn])
    held = rows.ends - rows.starts
    length = np.minimum(held, plan.max_len + 1) - 1
    order = _order(step * accumulate + slot % accumulate, plan.max_len - length, slot)
    starts, length, users = rows.starts[order], length[order], taken(rows.users, order)
    key, known = (users[name].reshape(len(steps), -1) for name in (c.USER_KEY, c.STRATUM))
    if plan.window == "random":
        events_SB = held[order].reshape(key.shape)
        starts = starts + window_starts(events_SB, key, max_len=plan.max_len, seed=plan.seed, steps=steps).ravel()
    stratum = np.array(plan.stratum_map)[users[c.STRATUM]]
    windows = Windows(rows.events, starts, length, stratum, plan.unit, len(steps))
    own = {name: users[stored] for name, stored in columns.users.items()}
    form = BatchForm(steps, accumulate, columns.events, plan.strata.count, columns.has_gaps, place, memory)
    batches = cut_batches(form, windows, users[c.USER_KEY], slot[order], own)
    each = zip(rows_digests(steps, key, known), _replaced(draws, drawn, len(steps)), strict=True)
    return [Step(batches[at * accumulate : (at + 1) * accumulate], *rest) for at, rest in enumerate(each)]


def _order(batch: I64, shorter: I64, slot: I64) -> I64:
    """The rows by batch, then longest first, then by slot: all batches' slots differ, so one number says it all."""
    shortest, slots = int(shorter.max(initial=0)) + 1, int(slot.max(initial=0)) + 1
    if (int(batch.max(initial=0)) + 1) * shortest * slots >= 1 << 63:
        return np.lexsort((slot, shorter, batch))
    return order_of(((batch * shortest + shorter) * slots + slot).view(np.uint64))


def _replaced(draws: Sequence[Draws], drawn: Sequence[Drawn], steps: int) -> list[Counter[Place]]:
    """How many rows of each step replace rows of each damaged row group."""
    found = [Counter[Place]() for _ in range(steps)]
    for draw, one in zip(draws, drawn, strict=True):
        for place, rows in one.replaced.items():
            for step, count in enumerate(np.bincount(draw.steps[rows]).tolist()):
                if count:
                    found[step][place] += count
    return found
