"""Checks of positions if some events are not targets (`prepare.targets`), instead of the usual ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ltrec.core import columns as c
from ltrec.data.manifest import Manifest, Shard
from ltrec.data.verify.rows import Array, RowGroup, first_fault


def target_mask(table: pa.Table, manifest: Manifest) -> npt.NDArray[np.bool_] | None:
    """Which events of a row group are targets, [N]; None where all are."""
    masks = [
        np.isin(table[c.EVENT + name].combine_chunks().flatten().to_numpy(), ids)
        for name, ids in manifest.split.get("targets", {}).items()
    ]
    return np.logical_and.reduce(masks) if masks else None


def check_targets(rows: RowGroup, shard: Shard, manifest: Manifest) -> str | None:
    """A description of the first fault, or None."""
    target = rows.target
    assert target is not None
    whole = rows.lengths < manifest.options["history_cap"]
    trained = rows.index < rows.of_row(rows.train_events)
    own = rows.train_events
    if manifest.split.get("strata_by") == "targets":
        own = np.where(own > 0, np.maximum(rows.count(target & trained), 1), 0)
    found = {
        "more training events than events": (rows.train_events >= 0) & (rows.train_events <= rows.lengths),
        "activity that is not what strata go by": (rows.activity == own) | (~whole & (rows.activity > own)),
        "trainable and other users in one shard": (rows.count(target & trained & (rows.index > 0)) > 0) == shard.trainable,
        "a validation target among the training events": (rows.valid_at == -1) | (rows.valid_at >= rows.train_events),
        "a test target that does not come after validation": (rows.test_at == -1) | (rows.test_at > rows.valid_at),
        "a validation target that is not a target": _is(rows, rows.valid_at, target),
        "a test target that is not a target": _is(rows, rows.test_at, target),
    }
    split = _last(rows, target, whole) if manifest.split["kind"] == "leave_one_out" else _first_after(rows, target, whole, manifest)
    return first_fault(found | split)


def _last(rows: RowGroup, target: Array, whole: Array) -> dict[str, Array]:
    """leave_one_out: users without training events were held out."""
    valid, test, held_out = rows.valid_at >= 0, rows.test_at >= 0, rows.train_events == 0
    later = rows.count(target & (rows.index > 0))
    two = later >= 2
    return {
        "training events that do not end at validation": ~valid | (rows.train_events == rows.valid_at),
        "a validation target that is not the last but one": ~valid
        | (rows.count(target & (rows.index > rows.of_row(rows.valid_at))) == 1),
        "a test target that is not the last": ~test | (rows.count(target & (rows.index > rows.of_row(rows.test_at))) == 0),
        "no validation target where there are two": ~whole | held_out | (valid == two),
        "no test target where there is one": ~whole | (test == (two | (held_out & (later >= 1)))),
    }


def _first_after(rows: RowGroup, target: Array, whole: Array, manifest: Manifest) -> dict[str, Array]:
    """global_time: users without training events may have been held out."""
    begin, end = manifest.split["valid_time"], manifest.split["test_time"]
    held_out = (rows.train_events == 0) & (manifest.split["cold_users"] > 0)
    found: dict[str, Any] = {
        "training events that do not end at the cut": held_out | (rows.train_events == rows.count_before(begin)),
    }
    for what, at, inside, excused in (
        ("validation", rows.valid_at, (rows.times >= begin) & (rows.times < end), held_out | ~whole),
        ("test", rows.test_at, rows.times >= end, np.zeros_like(whole)),
    ):
        among = target & inside
        before = rows.count(among & (rows.index < rows.of_row(at)))
        found[f"a {what} target that is not the first after the cut"] = np.where(
            at >= 0, (before == 0) & _is(rows, at, among), excused | (rows.count(among) == 0)
        )
    return found


def _is(rows: RowGroup, at: Array, mask: Array) -> Array:
    """Whether the event at a position of each row [B] is in a mask [N]; True where there is no position."""
    inside = at < rows.lengths
    place = np.cumsum(rows.lengths) - rows.lengths + np.clip(at, 0, rows.lengths - 1)
    there: Array = (at == -1) | (inside & (at >= 0) & mask[place])
    return there
