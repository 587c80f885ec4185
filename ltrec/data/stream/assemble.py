"""Assemble: a rank's draws for a step -> micro-batches of jagged tensors.

Slot j of a rank goes to micro-batch j mod A. The first slot of every rank is a multiple of A, so micro-batch a of *all* ranks
together holds the slots j of the whole step with j mod A = a, for any number of processes. Within a micro-batch the rows are
sorted by length, longest first (ties by slot), so that encoders can crop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ltrec.core import columns as c
from ltrec.core.batch import SequenceBatch
from ltrec.core.ragged import prefix_sums, ragged
from ltrec.core.rows.on_host import HostRows
from ltrec.core.rows.touched import distinct
from ltrec.data.stream.order.draws import Draws
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.quarantine.quarantine import Place
from ltrec.data.stream.reading.blocks import I64
from ltrec.data.stream.reading.projected import NO_COLUMNS, Projected
from ltrec.data.stream.reading.rows import Values, joined, taken
from ltrec.data.stream.reading.training_rows import Drawn, window_starts
from ltrec.data.stream.windows import Windows


@dataclass(frozen=True, slots=True)
class Step:
    """A rank's share of one step: its micro-batches, the user keys and the data set's strata of all its rows, and how many of them
    replace rows of each damaged row group."""

    micro_batches: list[SequenceBatch]
    user_key: I64
    stratum: I64
    replaced: Mapping[Place, int]


def assemble(
    plan: Plan,
    step: int,
    lanes: range,
    *,
    accumulate: int,
    rows_of: Callable[[Draws], Drawn],
    columns: Projected = NO_COLUMNS,
) -> Step:
    """Build the rank's share of a step.

    Args:
        plan: the order; batches have its strata.
        step: number of the step.
        lanes: the rank's.
        accumulate: micro-batches of the step.
        rows_of: gives the rows of a draw.
        columns: what batches carry besides items.
    """
    draws = plan.draws(step, lanes)
    drawn = [rows_of(draw) for draw in draws]
    replaced = Counter[Place]()
    for one in drawn:
        replaced.update(one.replaced)
    slot = np.concatenate([draw.slots for draw in draws])
    begin = np.concatenate([one.rows.offsets[one.index] for one in drawn])
    events = np.concatenate([one.rows.offsets[one.index + 1] for one in drawn]) - begin
    users = joined([taken(one.rows.users, one.index) for one in drawn])
    key, stratum = users[c.USER_KEY], users[c.STRATUM]
    start = begin + window_starts(events, key, max_len=plan.max_len, kind=plan.window, seed=plan.seed, step=step)
    length = np.minimum(events, plan.max_len + 1) - 1
    pool, start = _one_source(drawn, start, length + 1)
    order = np.lexsort((slot, -length, slot % accumulate))
    windows = Windows(pool, start[order], length[order], np.array(plan.stratum_map)[stratum][order], plan.unit)
    own = {name: torch.from_numpy(users[place][order]) for name, place in columns.users.items()}
    whole = _batch(windows, key[order], slot[order], own, columns, step, plan.strata.count)
    if accumulate == 1:
        return Step([whole], key, stratum, replaced)
    whole = replace(whole, step_items=distinct(torch.cat([whole.items_T, whole.targets_T])))
    parts = whole.split([key.size // accumulate] * accumulate)
    return Step([part.at(step, micro) for micro, part in enumerate(parts)], key, stratum, replaced)


def _batch(
    windows: Windows, key: I64, slot: I64, users: dict[str, Tensor], columns: Projected, step: int, num_strata: int
) -> SequenceBatch:
    """All rows of the step, of which micro-batches are cut."""
    sums = windows.sums_of_weights(num_strata)
    return SequenceBatch(
        items_T=torch.from_numpy(windows.items()),
        targets_T=torch.from_numpy(windows.targets()),
        offsets=torch.from_numpy(windows.offsets),
        stratum_B=torch.from_numpy(windows.stratum),
        user_key_B=torch.from_numpy(key),
        step_counts_K=torch.from_numpy(windows.examples(num_strata)),
        step=step,
        slot_B=torch.from_numpy(slot),
        users=users,
        events={name: torch.from_numpy(values) for name, values in windows.columns(columns.events).items()},
        weight_T=None if (weights := windows.weights()) is None else torch.from_numpy(weights),
        step_weights_K=None if sums is None else torch.from_numpy(sums[0]),
        step_squares_K=None if sums is None else torch.from_numpy(sums[1]),
        has_gaps=columns.has_gaps,
        host=HostRows(*(torch.from_numpy(values) for values in (np.diff(windows.offsets), windows.stratum, slot))),
    )


def _one_source(drawn: list[Drawn], start: I64, length: I64) -> tuple[Mapping[str, Values], I64]:
    """Events of all sources in one array each, and where each row now starts. Several are gathered, one is used as it is."""
    if len(drawn) == 1:
        return drawn[0].rows.events, start
    ends, read = prefix_sums(length), ragged(start, length)
    edges = ends[prefix_sums(np.array([one.index.size for one in drawn]))].tolist()
    parts = [taken(one.rows.events, read[low:high]) for one, low, high in zip(drawn, edges, edges[1:], strict=False)]
    return joined(parts), ends[:-1]
