"""The stream from a folder, from a warm cache and from a store, and as data grow. `make bench-stream`

    python benchmarks/stream.py                     100,000 and 1,000,000 users
    python benchmarks/stream.py --users 20000       so many, and ten times as many
    python benchmarks/stream.py --store s3://bucket/empty-folder
    python benchmarks/stream.py --peers             beside RePlay, Hugging Face datasets and LitData (benchmarks/peers/streaming.py)

An epoch of each, in processes of their own, one after the other: `local` reads the folder; `cold` a store with an empty cache;
`cached` the same store again; `small` with a cache of a third of the data and `shuffle_shards`. Without --store the store is a
folder of this machine behind `file://`, so `cold` measures hashing and copying, and no network. `ratio` is the rows per second
of CPU time over those of `local`. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ltrec.data.fetch import SyntheticConfig, fetch_synthetic
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.remote.config import CacheConfig
from ltrec.data.remote.folder import open_folder, open_store
from ltrec.data.remote.upload import upload_dataset
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.open import open_stream

MODES = ("local", "cold", "cached", "small")
LANES, USERS = 8, 100_000


def main() -> None:
    """Measure, print a table; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, help=f"default: {USERS:,}, and with --peers as many as it says")
    parser.add_argument("--store", help="address of an empty folder; default: a folder of this machine, by file://")
    parser.add_argument("--peers", action="store_true", help="beside other libraries, in environments that are made for them")
    parser.add_argument("--epoch", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.epoch:
        print(json.dumps(_epoch(*arguments.epoch)))
        return
    if arguments.peers:
        words = [
            sys.executable,
            "-m",
            "benchmarks.peers.streaming",
            *(["--users", str(arguments.users)] if arguments.users else []),
        ]
        sys.exit(subprocess.run(words, cwd=Path(__file__).parents[1], check=False).returncode)
    least = arguments.users or USERS
    sizes = {f"{users} users": _measured(users, arguments.store) for users in (least, 10 * least)}
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(json.dumps({"benchmark": "stream", "machine": machine, "store": arguments.store or "file", **sizes}))


def _measured(users: int, store: str | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        events = fetch_synthetic(SyntheticConfig(users=users, items=2_000, events_per_user=12.0), folder / "log")
        rows = max(16, users // 512)
        config = PrepareConfig(name="bench", sources=(str(events),), block_rows=rows, shard_events=rows * 12 * 4)
        manifest = prepare(config, folder / "data")
        address = f"{store}/{users}" if store else f"file://{folder}/store"
        upload_dataset(folder / "data", manifest, open_store(address))
        found = {mode: _run(mode, str(folder / "data") if mode == "local" else address, folder / "cache") for mode in MODES}
    for mode, figures in found.items():
        figures["ratio"] = round(found["local"]["cpu_s"] / figures["cpu_s"], 3)
        print(f"{users:9} users {mode:7}", *(f"{name} {value:,}" for name, value in figures.items()), flush=True)
    return {"shards": len(manifest.shards), "mb": round(sum(s.bytes for s in manifest.shards) / 1e6, 1), **found}


def _run(mode: str, place: str, cache: Path) -> dict[str, Any]:
    """An epoch in a process of its own."""
    words = [sys.executable, __file__, "--epoch", mode, place, str(cache / ("small" if mode == "small" else "whole"))]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _epoch(mode: str, place: str, cache: str) -> dict[str, Any]:
    """Rows per second by the clock, seconds until the first batch, CPU seconds and peak memory of an epoch."""
    os.environ["LTREC_CACHE"] = cache
    config = StreamConfig(batch_rows=240, lanes=LANES, resident_mib=0, shuffle_shards=8 if mode == "small" else 0)
    if mode == "small":
        total = sum(shard.bytes for shard in Manifest.load(open_folder(place)).shards)
        place = str(open_folder(place, CacheConfig(dir=f"{cache}-part", max_mib=max(1, total // 3 >> 20))))
    began, cpu, rows, first = time.perf_counter(), time.process_time(), 0, 0.0
    for batch in open_stream(place, config):
        first, rows = first or time.perf_counter() - began, rows + batch.num_rows
    seconds = time.perf_counter() - began
    return {
        "rows_per_s": round(rows / seconds),
        "first_batch_s": round(first, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "peak_mib": _peak_mib(),
    }


def _peak_mib() -> int:
    """Of this process alone: ru_maxrss begins with the parent's."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
