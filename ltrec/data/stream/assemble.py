"""Assemble: the takes of a rank's step -> micro-batches of jagged tensors.

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
from ltrec.data.stream.blocks import I64, prefix_sums
from ltrec.data.stream.plan import Plan
from ltrec.data.stream.rows import Rows, ragged
from ltrec.data.stream.takes import Take, Window
from ltrec.data.stream.training_rows import window_starts


@dataclass(frozen=True, slots=True)
class Step:
    """A rank's share of one step: its micro-batches, and the keys and strata of its rows in slot order."""

    micro_batches: list[SequenceBatch]
    user_key: I64
    stratum: I64


def assemble(plan: Plan, step: int, lanes: range, *, accumulate: int, num_strata: int, rows_of: Callable[[Window], Rows]) -> Step:
    """Build the rank's share of a step; `rows_of` gives the rows of a window."""
    takes = plan.slots(step, lanes)
    sources = [rows_of(take.window) for take in takes]
    slots = len(lanes) * plan.batch_rows // plan.lanes
    key, stratum, start, length = (np.empty(slots, np.int64) for _ in range(4))
    for take, rows in zip(takes, sources, strict=True):
        events = rows.offsets[take.rows + 1] - rows.offsets[take.rows]
        key[take.slots], stratum[take.slots] = rows.user_key[take.rows], rows.stratum[take.rows]
        shift = window_starts(events, key[take.slots], max_len=plan.max_len, kind=plan.window, seed=plan.seed, step=step)
        start[take.slots] = rows.offsets[take.rows] + shift
        length[take.slots] = np.minimum(events, plan.max_len + 1) - 1
    slot = np.arange(slots)
    order = np.lexsort((slot, -length, slot % accumulate))
    offsets = prefix_sums(length[order])
    home = np.empty(slots, np.int64)
    home[order] = offsets[:-1]
    items, targets = _gather(takes, sources, start, length, home, int(offsets[-1]))
    window_targets = np.bincount(stratum, weights=length, minlength=num_strata).astype(np.int64)
    micro_batches = _cut(items, targets, offsets, key[order], stratum[order], window_targets, step, accumulate)
    return Step(micro_batches, key, stratum)


def _gather(takes: list[Take], sources: list[Rows], start: I64, length: I64, home: I64, total: int) -> tuple[I64, I64]:
    """Items and targets [T]: slot j reads length[j] positions from start[j] of its source and puts them at home[j]."""
    items, targets = np.empty(total, np.int64), np.empty(total, np.int64)
    for take, rows in zip(takes, sources, strict=True):
        lengths = length[take.slots]
        read, write = ragged(start[take.slots], lengths), ragged(home[take.slots], lengths)
        items[write], targets[write] = rows.items[read], rows.items[read + 1]
    return items, targets


def _cut(
    items: I64, targets: I64, offsets: I64, key: I64, stratum: I64, window_targets: I64, step: int, accumulate: int
) -> list[SequenceBatch]:
    """Equal runs of rows as micro-batches."""
    size = key.size // accumulate
    batches = []
    for micro in range(accumulate):
        low, high = micro * size, (micro + 1) * size
        first, last = offsets[low], offsets[high]
        arrays = (items[first:last], targets[first:last], offsets[low : high + 1] - first, key[low:high], stratum[low:high])
        items_T, targets_T, offsets_B, key_B, stratum_B = (torch.from_numpy(array) for array in arrays)
        batches.append(
            SequenceBatch(items_T, targets_T, offsets_B, stratum_B, key_B, torch.from_numpy(window_targets.copy()), step, micro)
        )
    return batches
