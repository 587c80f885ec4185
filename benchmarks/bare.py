"""The stream beside a bare read: what an epoch costs more than `read_row_group` over the same shards.

    python benchmarks/bare.py                              200,000 users of 80 events, windows of 200
    python benchmarks/bare.py --data DIR --max-len 50      a prepared data set
    python benchmarks/bare.py --rows 240 --lanes 48 --buffer-blocks 8

One process with one loading thread, in turns: `bare` reads every row group of the shards that are trained on with pyarrow, the
columns that training reads and nothing else, without checksums; `resident` goes through an epoch of data in memory; `lanes`
through one of data that stream from disk, checksums included; `kept` through one in the order of lanes whose buffers would hold
everything. `first` is their first epoch, with opening and sha256. Processor milliseconds, the least and the median of the rounds;
`share` is bare's over this, of the least: other work on the machine disturbs those little. Memory is that of rows, in MiB.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from ltrec.data.fetch import SyntheticConfig, fetch_synthetic
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.open import open_stream
from ltrec.data.stream.reading.training_rows import COLUMNS

ALL_MIB = 1 << 20
KINDS = ("resident", "lanes", "kept")


def main() -> None:
    """Measure and print; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a prepared data set; default: a synthetic one is made")
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--events", type=float, default=80.0, help="of a user, on average")
    parser.add_argument("--max-len", type=int, default=200)
    parser.add_argument("--rows", type=int, default=512, help="of a step")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--buffer-blocks", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        data = options.data or made(options.users, options.events, Path(temporary))
        config = StreamConfig(
            batch_rows=options.rows, lanes=options.lanes, max_len=options.max_len, buffer_blocks=options.buffer_blocks, threads=1
        )
        found = measure(data, config, options.rounds)
    for name, figures in found["cells"].items():
        print(f"{name:15}", *(f"{key} {value}" for key, value in figures.items()))
    print(json.dumps({"benchmark": "bare", "load": round(os.getloadavg()[0], 1), **found}))


def made(users: int, events: float, out: Path) -> Path:
    """A prepared data set."""
    log = fetch_synthetic(SyntheticConfig(users=users, items=20_000, events_per_user=events), out / "log")
    prepare(PrepareConfig(name="bare", sources=(str(log),)), out / "data")
    return out / "data"


def measure(data: Path, config: StreamConfig, rounds: int) -> dict[str, Any]:
    """Milliseconds of each kind of epoch, in turns."""
    manifest, streams = Manifest.load(data), {kind: stream(data, config, kind) for kind in KINDS}
    ways: dict[str, Callable[[], None]] = {"bare": lambda: bare(data, manifest)}
    ways |= {kind: lambda loader=loader: epoch(loader) for kind, loader in streams.items()}  # type: ignore[misc]  # a bound name
    first = {f"first {kind}": clocked(ways[kind]) for kind in KINDS}
    turns: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            turns[name].append(clocked(way))
    least = min(turns["bare"])
    cells = {
        name: {"least": round(min(each), 1), "median": round(statistics.median(each), 1), "share": round(least / min(each), 2)}
        for name, each in {**turns, **{name: [ms] for name, ms in first.items()}}.items()
    }
    memory = {kind: loader._plan.memory_bytes(config.lanes) >> 20 for kind, loader in streams.items()}
    shards = [shard for shard in manifest.shards if shard.trainable]
    return {"events": sum(s.events for s in shards), "users": sum(s.rows for s in shards), "mib": memory, "cells": cells}


def stream(data: Path, config: StreamConfig, kind: str) -> StreamLoader:
    """A loader whose data are in memory, stream from disk, or are kept by lanes."""
    changed = {"resident_mib": ALL_MIB if kind == "resident" else 0, "memory_mib": ALL_MIB}
    if kind == "kept":
        changed["buffer_blocks"] = 1 << 20
    fields = {name: getattr(config, name) for name in config.__slots__}
    return open_stream(data, StreamConfig(**{**fields, **changed}))


def bare(data: Path, manifest: Manifest) -> None:
    """Every row group that is trained on."""
    for shard in manifest.shards:
        if shard.trainable:
            with pq.ParquetFile(data / shard.path) as file:
                for group in range(file.metadata.num_row_groups):
                    file.read_row_group(group, columns=COLUMNS, use_threads=False)


def epoch(loader: StreamLoader) -> None:
    """As training goes through it."""
    for batch in loader:
        loader.advance(batch.step)


def clocked(way: Callable[[], None]) -> float:
    """Processor milliseconds, all threads together."""
    began = time.process_time()
    way()
    return 1e3 * (time.process_time() - began)


if __name__ == "__main__":
    main()
