"""Reach in plain Python: a set of linked pairs, and a breadth-first search from each history over the rows of the shards."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.storage.atomic import sha256_file
from ltrec.data.manifest import Manifest
from ltrec.data.reach import KNOWN, OF_SPLIT, REACH_SCHEMA


def shard_rows(folder: Path) -> list[dict]:
    manifest = Manifest.load(folder)
    return [row for shard in manifest.shards for row in pq.ParquetFile(folder / shard.path).read().to_pylist()]


def naive_reach(rows: list[dict], split: str) -> dict[int, int]:
    """Distance by user key, of everybody with a target: 0 to 3, -1 without a history."""
    linked = links(rows)
    targets = {row["user_key"]: (row["items"], row[f"{split}_at"]) for row in rows if row[f"{split}_at"] >= 0}
    return {key: distance(linked, set(items[:at]), items[at]) for key, (items, at) in targets.items()}


def links(rows: list[dict]) -> dict[int, set[int]]:
    linked = defaultdict(set)
    for row in rows:
        events = list(zip(row["times"], row["items"], strict=True))[: row["train_events"]]
        ties = [[item for _, item in tie] for _, tie in itertools.groupby(events, key=lambda event: event[0])]
        pairs = [pair for tie in ties for pair in itertools.permutations(tie, 2)]
        pairs += [(a, b) for one, other in itertools.pairwise(ties) for a in one for b in other]
        for a, b in pairs:
            if a != b:
                linked[a].add(b)
                linked[b].add(a)
    return linked


def distance(linked: dict[int, set[int]], history: set[int], target: int) -> int:
    if not history:
        return -1
    reached = history
    for steps in range(3):
        if target in reached:
            return steps
        reached = reached | {b for a in reached for b in linked[a]}
    return 3


def give_reach(folder: Path) -> dict[str, dict[int, int]]:
    """Put the file of distances into a data set that prepare did not write; return them by split and user key."""
    manifest, rows = Manifest.load(folder), shard_rows(folder)
    found = {split: naive_reach(rows, split) for split in OF_SPLIT}
    keys = sorted(set().union(*found.values()))
    columns = {c.USER_KEY: keys} | {OF_SPLIT[split]: [found[split].get(key, -1) for key in keys] for split in OF_SPLIT}
    (path := folder / "reach" / "reach-0.parquet").parent.mkdir()
    pq.write_table(pa.table(columns, schema=REACH_SCHEMA), path)
    counts = [
        [sum(row["stratum"] == z and found["valid"].get(row["user_key"]) == d for row in rows) for d in KNOWN]
        for z in range(manifest.strata.count)
    ]
    entry = {
        "path": "reach/reach-0.parquet",
        "bytes": path.stat().st_size,
        "sha256": sha256_file(path),
        "valid": counts,
    }
    replace(manifest, summary={**manifest.summary, "reach": entry}).save(folder)
    return found
