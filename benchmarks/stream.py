"""What an event of the stream costs as data grow, from a folder, through a warm cache, and from a store. `make bench-stream`

    python -m benchmarks.stream                                     10^5, 10^6 and 10^7 events
    python -m benchmarks.stream --events 1e5 1e6 1e7 1e8 --rounds 2
    python -m benchmarks.stream --block-rows 4096 --lanes 8 --shard-blocks 64 --events 1.2e6 1e7 1e8
    python -m benchmarks.stream --store s3://bucket/empty-folder

Lengths of histories, blocks, shards and buffers are the same at every size (`stream_data.py`), and two buffers of each lane are
smaller than the least data, so that all sizes go the same way: lanes that stream. Every cell is a process of its own with one
loading thread; sizes and modes take turns. `local` reads a folder; `cached` a store whose shards are in the node's cache; `remote`
a store, window by window, with a cache that is emptied before every pass and limited. Without --store the store is moto's, on this
machine, in a process whose time does not count.

`ns` is processor time over events of the data set, of the passes after the first: one, or as many as 20 million events take in
small data sets. `first` is that of the first pass, with hashes; `open` milliseconds before. `times` is
`ns` over that of a folder of 250,000 events that the same process goes through after every million: other work on the machine
slows both. Memory is the most that the process had, and what of it came after libraries and yardstick. A mode is flat if all its
`times` are within a tenth of their middle. Medians of rounds; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.harness.children import say
from benchmarks.stream_data import write_data
from ltrec.data.manifest import Manifest
from ltrec.data.remote.folder import open_store
from ltrec.data.remote.upload import upload_dataset

ROOT = Path(__file__).parents[1]
MODES = ("local", "cached", "remote")
SIZES = (1e5, 1e6, 1e7)
ROWS = 256
LEAST_EVENTS = 20_000_000
"""Small data sets are passed through until so many events have gone by."""
YARDSTICK = 250_000
FLAT = 0.1

Cells = dict[str, dict[int, list[dict[str, float]]]]


def main() -> None:
    """Measure, print a table; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=float, nargs="+", default=SIZES, help="sizes, about")
    parser.add_argument("--remote-events", type=float, default=1e8, help="largest size that is read from the store")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--block-rows", type=int, default=1024)
    parser.add_argument("--shard-blocks", type=int, default=8, help="blocks of a shard")
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--buffer-blocks", type=int, default=1)
    parser.add_argument("--shuffle-shards", type=int, default=4, help="of a window of `remote`, in each lane")
    parser.add_argument("--cache-mib", type=int, default=128, help="of `remote`")
    parser.add_argument("--least-events", type=int, default=LEAST_EVENTS, help="go by in small data sets, in several passes")
    parser.add_argument("--store", help="address of an empty folder; default: a store on this machine")
    parser.add_argument("--dir", type=Path, help="folder for the data; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as temporary, store(options.store) as (address, variables):
        os.environ.update(variables)
        write_data(Path(temporary) / "yardstick", YARDSTICK, options.block_rows, options.shard_blocks, options.lanes)
        data = {int(events): made(int(events), address, Path(temporary), options) for events in options.events}
        found = measure(data, address, Path(temporary), options)
    cells = {mode: {events: summary(lines) for events, lines in sizes.items()} for mode, sizes in found.items()}
    flat = {mode: flatness([cell["times"] for cell in sizes.values()]) for mode, sizes in cells.items()}
    Console(width=132).print(table(cells, data))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    setup = {name: getattr(options, name) for name in ("block_rows", "shard_blocks", "lanes", "buffer_blocks", "rounds")}
    print(json.dumps({"benchmark": "stream", "machine": machine, **setup, "flat": flat, "cells": cells}))


@contextmanager
def store(given: str | None) -> Iterator[tuple[str, dict[str, str]]]:
    """An address, and what the environment must say; moto's store ends with the context."""
    if given:
        yield given, {}
        return
    words = [sys.executable, "-m", "benchmarks.stream_store"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdin and child.stdout
        bucket, endpoint = child.stdout.readline().split()
        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}
        try:
            yield f"s3://{bucket}", {"AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true", **keys}
        finally:
            child.stdin.close()


def made(events: int, address: str, folder: Path, options: argparse.Namespace) -> Manifest:
    """A data set in a folder of its own and, where modes need that, in the store."""
    manifest = write_data(folder / str(events), events, options.block_rows, options.shard_blocks, options.lanes)
    if set(options.modes) - {"local"}:
        upload_dataset(folder / str(events), manifest, open_store(f"{address}/{events}"))
    say(f"{events:,} events: {len(manifest.shards):,} shards of {manifest.shards[0].bytes / 1e6:.1f} MB")
    return manifest


def measure(data: dict[int, Manifest], address: str, folder: Path, options: argparse.Namespace) -> Cells:
    """Lines of every mode and size, in turns."""
    found: Cells = {mode: {} for mode in options.modes}
    for turn in range(options.rounds):
        for events in data:
            for mode in options.modes:
                if mode == "remote" and events > options.remote_events:
                    continue
                line = cell(mode, events, address, folder, options)
                found[mode].setdefault(events, []).append(line)
                say(f"round {turn}, {events:,} events, {mode}: {line}")
    return found


def cell(mode: str, events: int, address: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Passes in a process of its own."""
    remote = mode == "remote"
    fixed = {"batch_rows": ROWS, "lanes": options.lanes, "buffer_blocks": options.buffer_blocks, "resident_mib": 0, "threads": 1}
    job = {
        "yardstick": str(folder / "yardstick"),
        "place": str(folder / str(events)) if mode == "local" else f"{address}/{events}",
        "cache": str(folder / f"cache-{mode}"),
        "cache_mib": options.cache_mib if remote else 0,
        "forget": remote,
        "passes": max(1, options.least_events // events),
        "stream": {**fixed, "shuffle_shards": options.shuffle_shards if remote else 0},
        "yardstick_stream": fixed,
    }
    place = folder / "job.json"
    place.write_text(json.dumps(job))
    words = [sys.executable, "-m", "benchmarks.stream_pass", str(place)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    line: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return line


def summary(lines: list[dict[str, float]]) -> dict[str, float]:
    """Medians of the rounds."""
    return {name: round(statistics.median(line[name] for line in lines), 2) for name in lines[0]}


def flatness(costs: list[float]) -> dict[str, float | bool]:
    """How far costs are from their middle, as a share of it."""
    middle = (max(costs) + min(costs)) / 2
    off = (max(costs) - min(costs)) / 2 / middle
    return {"off": round(off, 3), "within": off <= FLAT}


def table(cells: dict[str, dict[int, dict[str, float]]], data: dict[int, Manifest]) -> Table:
    """All modes and sizes."""
    made = Table("", "events", "shards", "open ms", "first ns", "ns an event", "times", "peak MiB", "own MiB")
    for mode, sizes in cells.items():
        for events, cell in sizes.items():
            figures = [f"{cell[name]:,.1f}" for name in ("open_ms", "first_ns", "ns", "peak_mib", "own_mib")]
            figures.insert(3, f"{cell['times']:.2f}")
            made.add_row(mode, f"{events:,}", f"{len(data[events].shards):,}", *figures)
        made.add_section()
    return made


if __name__ == "__main__":
    main()
