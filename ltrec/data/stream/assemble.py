"""Assemble: a rank's draws for a step -> micro-batches of jagged tensors.

Slot j of the rank goes to micro-batch j mod A. The first slot of a rank is a multiple of A too, so micro-batch a of *all* ranks
together is the slots congruent to a of the whole step: it does not depend on the number of processes. Within a micro-batch rows
are sorted longest first (ties by slot), so that encoders can crop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ltrec.core.batch import SequenceBatch
from ltrec.core.ragged import prefix_sums, ragged
from ltrec.data.stream.order.draws import Buffer, Draws
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.reading.blocks import I64
from ltrec.data.stream.reading.rows import I32, UserRows
from ltrec.data.stream.reading.training_rows import window_starts


@dataclass(frozen=True, slots=True)
class Step:
    """A rank's share of one step: its micro-batches, and the keys of all its rows with the strata that the data set gives them."""

    micro_batches: list[SequenceBatch]
    user_key: I64
    stratum: I64


def assemble(plan: Plan, step: int, lanes: range, *, accumulate: int, rows_of: Callable[[Buffer], UserRows]) -> Step:
    """Build the rank's share of a step; `rows_of` gives the rows of a buffer. Batches have the plan's strata."""
    draws = plan.draws(step, lanes)
    sources = [rows_of(draw.buffer) for draw in draws]
    slot = np.concatenate([draw.slots for draw in draws])
    begin = np.concatenate([rows.offsets[draw.rows] for draw, rows in zip(draws, sources, strict=True)])
    events = np.concatenate([rows.offsets[draw.rows + 1] for draw, rows in zip(draws, sources, strict=True)]) - begin
    key = np.concatenate([rows.user_key[draw.rows] for draw, rows in zip(draws, sources, strict=True)])
    stratum = np.concatenate([rows.stratum[draw.rows] for draw, rows in zip(draws, sources, strict=True)])
    start = begin + window_starts(events, key, max_len=plan.max_len, kind=plan.window, seed=plan.seed, step=step)
    length = np.minimum(events, plan.max_len + 1) - 1
    pool, start = _one_source(draws, sources, start, length + 1)
    order = np.lexsort((slot, -length, slot % accumulate))
    offsets, read = prefix_sums(length[order]), ragged(start[order], length[order])
    items, targets = pool[read].astype(np.int64), pool[read + 1].astype(np.int64)
    examples = length if plan.unit == "target" else np.ones_like(length)  # of a user: the mean over his targets, at least one
    merged = np.array(plan.stratum_map)[stratum]
    step_counts = np.bincount(merged, weights=examples, minlength=plan.strata.count).astype(np.int64)
    micro_batches = _cut(items, targets, offsets, key[order], merged[order], slot[order], step_counts, step, accumulate)
    return Step(micro_batches, key, stratum)


def _one_source(draws: list[Draws], sources: list[UserRows], start: I64, length: I64) -> tuple[I32, I64]:
    """Items of all sources in one array, and where each row now starts in it. Several are gathered, one is used as it is."""
    if len(sources) == 1:
        return sources[0].items, start
    ends, read = prefix_sums(length), ragged(start, length)
    edges = ends[prefix_sums(np.array([draw.rows.size for draw in draws]))].tolist()
    parts = [rows.items[read[low:high]] for rows, low, high in zip(sources, edges, edges[1:], strict=False)]
    return np.concatenate(parts), ends[:-1]


def _cut(
    items: I64, targets: I64, offsets: I64, key: I64, stratum: I64, slot: I64, step_counts: I64, step: int, accumulate: int
) -> list[SequenceBatch]:
    """Equal runs of rows as micro-batches."""
    size = key.size // accumulate
    batches = []
    for micro in range(accumulate):
        low, high = micro * size, (micro + 1) * size
        first, last = offsets[low], offsets[high]
        positions, rows = (items[first:last], targets[first:last]), (key[low:high], stratum[low:high], slot[low:high])
        items_T, targets_T, key_B, stratum_B, slot_B = (torch.from_numpy(array) for array in (*positions, *rows))
        offsets_B, counts_K = torch.from_numpy(offsets[low : high + 1] - first), torch.from_numpy(step_counts.copy())
        batches.append(SequenceBatch(items_T, targets_T, offsets_B, stratum_B, key_B, counts_K, step, micro, slot_B))
    return batches
