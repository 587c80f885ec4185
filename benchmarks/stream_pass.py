"""Epochs of a stream in a process of its own: processor seconds, and the most memory. `benchmarks/stream.py` starts it.

python -m benchmarks.stream_pass JOB.json
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ltrec.core.storage.remote.node_cache import CachedFile
from ltrec.data.manifest import Manifest
from ltrec.data.remote.config import CacheConfig
from ltrec.data.remote.folder import manifest_of, node_cache, open_folder
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.open import open_stream

SLICE_EVENTS = 1_000_000
"""After so many comes a pass through the yardstick."""
CALM, CALM_SECONDS = 3, 0.01
"""Looks in a row at a process that does nothing, and the time between them, until threads that work ahead have finished."""


@dataclass(frozen=True)
class Job:
    """What is to be measured.

    Attributes:
        place: folder or address of the data set.
        yardstick: folder of a small one, which is passed through in between.
        cache: folder of the node's cache.
        cache_mib: most MiB of it; 0 = no limit.
        forget: whether the cache is emptied before every pass.
        passes: after the first.
        stream: options of the stream.
        yardstick_stream: those of the yardstick's.
    """

    place: str
    yardstick: str
    cache: str
    cache_mib: int
    forget: bool
    passes: int
    stream: dict[str, Any]
    yardstick_stream: dict[str, Any]


@dataclass
class Turns:
    """A stream and the yardstick in turns.

    Attributes:
        yardstick: passes through it.
        every: steps of the stream between them.
        own: processor seconds of the stream.
        others: of each pass through the yardstick.
    """

    yardstick: Callable[[], None]
    every: int
    own: float = 0.0
    others: list[float] = field(default_factory=list)
    _steps: int = 0

    def go(self, loader: StreamLoader) -> None:
        """A pass through the stream."""
        since = time.process_time()
        for batch in loader:
            loader.advance(batch.step)
            self._steps += 1
            if self._steps % self.every == 0:
                self.own += settled() - since
                self.look()
                since = time.process_time()
        self.own += time.process_time() - since

    def look(self) -> None:
        """A pass through the yardstick."""
        since = time.process_time()
        self.yardstick()
        self.others.append(time.process_time() - since)


def measured(job: Job) -> dict[str, float]:
    """Nanoseconds of processor time an event, of the first pass, which verifies, and of the others; MiB."""
    torch.set_num_threads(1)
    yardstick = open_stream(job.yardstick, StreamConfig(**job.yardstick_stream))
    go_through(yardstick)
    base = memory_mib("VmRSS")
    cache = CacheConfig(dir=job.cache, max_mib=job.cache_mib)
    began = time.process_time()
    place = open_folder(job.place, cache)
    loader = open_stream(place, StreamConfig(**job.stream))
    opened = time.process_time() - began
    manifest = manifest_of(place)
    events = events_of(manifest)
    every = max(1, SLICE_EVENTS * len(loader) // events)
    passes = [Turns(lambda: go_through(yardstick), every) for _ in range(2)]
    for turns, count in zip(passes, (1, job.passes), strict=True):
        for _ in range(count):
            if job.forget:
                empty(manifest, cache)
            turns.go(loader)
        if not turns.others:
            turns.look()
    peak = memory_mib("VmHWM")
    first, later = (1e9 * turns.own / events for turns in passes)
    ns, others = later / job.passes, passes[1].others
    yardstick_ns = 1e9 * sum(others) / len(others) / events_of(manifest_of(Path(job.yardstick)))
    return {
        "events": events,
        "open_ms": round(1e3 * opened, 1),
        "first_ns": round(first, 1),
        "ns": round(ns, 1),
        "yardstick_ns": round(yardstick_ns, 1),
        "times": round(ns / yardstick_ns, 3),
        "peak_mib": round(peak, 1),
        "own_mib": round(peak - base, 1),
    }


def settled() -> float:
    """Processor seconds of this process, once its threads have nothing left to do."""
    now, calm = time.process_time(), 0
    while calm < CALM:
        time.sleep(CALM_SECONDS)
        before, now = now, time.process_time()
        calm = calm + 1 if now - before < CALM_SECONDS / 20 else 0
    return now


def events_of(manifest: Manifest) -> int:
    """Of the shards that are trained on."""
    return sum(shard.events for shard in manifest.shards if shard.trainable)


def go_through(loader: StreamLoader) -> None:
    """A pass, as training makes it."""
    for batch in loader:
        loader.advance(batch.step)


def empty(manifest: Manifest, cache: CacheConfig) -> None:
    """Remove all shards from the node's cache."""
    node = node_cache(cache)
    for shard in manifest.shards:
        node.remove(CachedFile(shard.sha256, shard.bytes, shard.path))


def memory_mib(name: str) -> float:
    """Of this process alone: ru_maxrss begins with the parent's."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    print(json.dumps(measured(Job(**json.loads(Path(sys.argv[1]).read_text())))))
