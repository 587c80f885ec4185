"""What histories are cut from: decoded row groups; and how many users of a split the manifest counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from ltrec.data.manifest import Manifest
from ltrec.data.stream.reading.blocks import I64
from ltrec.data.stream.reading.rows import I32, Values


@dataclass(frozen=True, slots=True)
class HistoryBlock:
    """A decoded row group; `at` is the history's length, -1 without a target; `capped` counts the events that the history cap
    removed."""

    user_id: pa.Array
    user_key: I64
    stratum: I64
    activity: I64
    capped: I64
    at: I64
    items: I32
    offsets: I64
    events: Mapping[str, Values]
    users: Mapping[str, Values]


def known_rows(manifest: Manifest, split: str) -> tuple[int, int] | None:
    """Users of a split with and without a history, by the manifest; None if it does not count them."""
    if split == "all":
        return sum(shard.rows for shard in manifest.shards), 0
    targets, cold = (manifest.summary.get(f"{of}{split}_targets") for of in ("", "cold_"))
    return None if targets is None or cold is None else (targets - cold, cold)
