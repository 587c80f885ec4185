"""What a training step holds on average, per stratum: the number of examples, and the share of steps that hold any. Exact, computed
from the plan and for its strata, which may be merged ones.

In a pool of n rows with quota q, each row is visited q / n times per step: the draws are one permutation after another, so over
whole passes this is the exact average, not only its expectation. A row of e training events has min(e, max_len + 1) - 1 targets
wherever its window lies, so for both compositions and both kinds of window

    E[N_z] = sum over pools of (q / n) * sum over the stratum's rows of targets

With unit=user a row is one example, whatever its length, and the inner sum is the number of the stratum's rows.

Where not every event is a target, or events have weights, a row's targets are those in its window, and N_z is the sum of their
weights; of a random window, the mean over all of its places.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ltrec.causal.presence import presence
from ltrec.columns.schema import ITEMS_ONLY
from ltrec.core import columns as c
from ltrec.core.ragged import ragged
from ltrec.data.manifest import Manifest
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.order.pools import Pool
from ltrec.data.stream.reading.blocks import I64
from ltrec.data.stream.reading.projected import Projected
from ltrec.data.stream.reading.rows import UserRows, Values, int_column
from ltrec.data.stream.reading.shards import ShardReader
from ltrec.data.stream.reading.training_rows import TrainingRows


def expected_targets_K(folder: Path, manifest: Manifest, plan: Plan) -> Tensor:
    """E[N_z]: average examples (targets, or users under stream.unit=user) of each stratum in a step of all ranks, float64 [K];
    where events have weights, the average sum of the weights of these targets.

    For targets it reads one integer column of the shards trained on (with weights, or targets of some events only, these columns),
    a row group at a time; sizes and page checksums are verified, hashes of whole files are left to the stream. The result does not
    depend on the seed.

    Raises:
        UserError: a shard is missing or damaged.
    """
    return _per_step(plan, _examples(folder, manifest, plan, weigh=plan.unit == "target"))


def examples_K(folder: Path, manifest: Manifest, plan: Plan) -> Tensor:
    """M_z: examples of each stratum when every training user is visited once, float64 [K]. Reads what `expected_targets_K` reads.
    A stratum with a quota of 0 has none.

    Raises:
        UserError: a shard is missing or damaged.
    """
    return torch.from_numpy(np.sum(_examples(folder, manifest, plan, weigh=False), axis=0)).double()


def expected_presence_K(manifest: Manifest, plan: Plan) -> Tensor:
    """Share of the steps that hold any row of each stratum, float64 [K]: 1 for a stratum with a quota, 0 for one never drawn.

    Reads no file. Exact for a pool that is shuffled as a whole. In a pool that streams through lanes, the few blocks of a rare
    stratum come in runs, so that it is present in fewer steps than this: a fifth fewer for a stratum of three blocks.
    """
    each = [presence(torch.from_numpy(_rows_by_stratum(manifest, plan, pool)), pool.quota) for pool in plan.pools]
    return torch.stack(each).amax(0)  # a stratum lies in one pool, or was merged from several with a quota each


def _examples(folder: Path, manifest: Manifest, plan: Plan, *, weigh: bool) -> list[Values]:
    """Examples of one visit to every row of each pool [K]; or the sums of their weights."""
    columns = Projected.of(manifest, ITEMS_ONLY, training=True)
    if columns.has_gaps:
        rows = TrainingRows(folder, manifest, plan, "size", columns)
        return [_counted_by_stratum(rows, manifest, plan, pool, weigh and columns.weighs) for pool in plan.pools]
    if plan.unit == "user":
        return [_rows_by_stratum(manifest, plan, pool) for pool in plan.pools]
    files = ShardReader(folder, manifest, check="size")
    return [_targets_by_stratum(files, manifest, plan, pool) for pool in plan.pools]


def _counted_by_stratum(rows: TrainingRows, manifest: Manifest, plan: Plan, pool: Pool, weigh: bool) -> Values:
    """Like `_targets_by_stratum`, for events that have weights or may not be targets: the mean over positions of a row's window."""
    found_K, stratum = np.zeros(plan.strata.count), _strata(manifest, plan)
    for shard, group in _in_file_order(pool):
        found_K[stratum[shard]] += mean_over_windows(rows.block(shard, group), plan.max_len, plan.unit, weigh).sum()
    return found_K


def mean_over_windows(rows: UserRows, max_len: int, unit: str, weigh: bool) -> Values:
    """Examples of a row's window, or the sum of their weights: the mean over all places of the window, float64 [R].

    Args:
        rows: the events that windows are cut from; as many as a window holds, or all.
        max_len: L.
        unit: what an example is.
        weigh: add up weights.
    """
    counted = rows.events[c.TARGET].astype(np.float64)
    before = np.concatenate([[0.0], np.cumsum(counted * rows.events[c.WEIGHT] if weigh else counted)])
    events = np.diff(rows.offsets)
    held = np.minimum(events, max_len + 1)
    places = events - held + 1
    start = ragged(rows.offsets[:-1], places)
    sums = before[start + np.repeat(held, places)] - before[start + 1]
    mean_R: Values = (
        np.add.reduceat(sums if unit == "target" else (sums > 0).astype(np.float64), np.cumsum(places) - places) / places
    )
    return mean_R


def _in_file_order(pool: Pool) -> Iterator[tuple[int, int]]:
    """Shards and row groups of a pool, so that disks read ahead."""
    order = np.lexsort((pool.blocks.group, pool.blocks.shard))
    return zip(pool.blocks.shard[order].tolist(), pool.blocks.group[order].tolist(), strict=True)


def _per_step(plan: Plan, totals: list[Values]) -> Tensor:
    """Average per step [K], from the totals [K] of each pool."""
    return torch.stack(
        [torch.from_numpy(t).double() * pool.quota / pool.rows for pool, t in zip(plan.pools, totals, strict=True)]
    ).sum(0)


def _rows_by_stratum(manifest: Manifest, plan: Plan, pool: Pool) -> I64:
    rows_K = np.zeros(plan.strata.count, np.int64)
    np.add.at(rows_K, _strata(manifest, plan)[pool.blocks.shard], pool.blocks.rows)
    return rows_K


def _targets_by_stratum(files: ShardReader, manifest: Manifest, plan: Plan, pool: Pool) -> I64:
    """Targets of one visit to every row of the pool."""
    targets_K, stratum = np.zeros(plan.strata.count, np.int64), _strata(manifest, plan)
    for shard, group in _in_file_order(pool):
        events = int_column(files.read(shard, group, [c.TRAIN_EVENTS]), c.TRAIN_EVENTS)
        targets_K[stratum[shard]] += (np.minimum(events, plan.max_len + 1) - 1).sum()
    return targets_K


def _strata(manifest: Manifest, plan: Plan) -> I64:
    """The plan's stratum of each shard."""
    return np.array([*plan.stratum_map, c.NO_STRATUM])[[shard.stratum for shard in manifest.shards]]
