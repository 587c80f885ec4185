"""What columns cost the loader: rows per second with four event columns and without, in one run. `make bench-columns`

    python benchmarks/columns.py                a synthetic log with columns (100,000 users, 2,000 items)
    python benchmarks/columns.py --data DIR     a prepared data set

Two loaders of the same data take turns, an epoch each, round after round: one that reads items only, and one that also
reads every event column and `time`. The users are held in memory (`resident`), or streamed from disk through lanes (`lanes`),
where every buffer is read anew. `ratio` is rows per second with columns over rows per second without, the median over rounds, so
that what else the machine does falls on both alike; `cpu_ratio` is the same by CPU time. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from ltrec.columns.kinds import ColumnConfig
from ltrec.columns.kinds.category import CategoryConfig
from ltrec.columns.kinds.number import NumberConfig
from ltrec.columns.schema import ITEMS_ONLY, Projection
from ltrec.data.fetch import SyntheticConfig, fetch_synthetic
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.open import open_stream

LOG = SyntheticConfig(users=100_000, items=2_000, events_per_user=12.0, columns="informative")
DECLARED: dict[str, ColumnConfig] = {"event_type": CategoryConfig(), "price": NumberConfig(log=True), "dwell": NumberConfig()}
STREAMS = {"resident": 1 << 14, "lanes": 0}
"""Name -> `resident_mib`."""


def main() -> None:
    """Measure, print a table; the last line is one JSON object."""
    arguments = _arguments()
    torch.set_num_threads(1)
    with _data(arguments) as folder:
        manifest = Manifest.load(folder)
        asked = Projection(events=(*manifest.columns.of("event"), "time"))
        result = {
            "benchmark": "columns",
            "data": {"name": manifest.name, "digest": manifest.digest, "rows": manifest.train_rows},
            "columns": asked.events,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
            **{name: _turns(folder, asked, name, arguments) for name in STREAMS},
        }
    print(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a prepared data set with columns instead of a synthetic one")
    parser.add_argument("--users", type=int, default=LOG.users, help="of the synthetic log")
    parser.add_argument("--rows", type=int, default=240, help="sequences per step, a multiple of 8")
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


@contextmanager
def _data(arguments: argparse.Namespace) -> Iterator[Path]:
    """The folder of a prepared data set."""
    if arguments.data:
        yield arguments.data
        return
    with tempfile.TemporaryDirectory() as folder:
        log = SyntheticConfig(users=arguments.users, items=LOG.items, events_per_user=12.0, columns="informative")
        events = fetch_synthetic(log, Path(folder) / "log")
        rows = min(4096, max(16, arguments.users // 32))  # row groups, of which streaming needs one a lane
        config = PrepareConfig(name="bench", sources=(str(events),), event_columns=DECLARED, block_rows=rows)
        prepare(config, Path(folder) / "data")
        yield Path(folder) / "data"


def _turns(folder: Path, asked: Projection, name: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Rows per second without and with columns, and their ratios, epoch by epoch; the first epoch of each is not timed."""
    config = StreamConfig(batch_rows=arguments.rows, lanes=8, resident_mib=STREAMS[name])
    loaders = [open_stream(folder, config, columns=columns) for columns in (ITEMS_ONLY, asked)]
    turns = [[_epoch(loader) for loader in loaders] for _ in range(arguments.rounds + 1)][1:]
    rows = len(loaders[0]) * arguments.rows
    plain_s, columned_s = (statistics.median(side.seconds for side in turn) for turn in zip(*turns, strict=True))
    ratio = statistics.median(plain.seconds / columned.seconds for plain, columned in turns)
    of_cpu = statistics.median(plain.cpu_seconds / columned.cpu_seconds for plain, columned in turns)
    print(
        f"{name:9} {rows / plain_s:9.0f} rows/s, with {len(asked.events)} columns {rows / columned_s:9.0f}: "
        f"ratio {ratio:.3f}, of CPU time {of_cpu:.3f}",
        flush=True,
    )
    rates = {"rows_per_s": round(rows / plain_s), "rows_per_s_with_columns": round(rows / columned_s)}
    return {**rates, "ratio": round(ratio, 3), "cpu_ratio": round(of_cpu, 3)}


class Turn(NamedTuple):
    """What an epoch took, by the clock and of all cores."""

    seconds: float
    cpu_seconds: float


def _epoch(loader: StreamLoader) -> Turn:
    start, cpu_start = time.perf_counter(), time.process_time()
    for batch in loader:
        loader.advance(batch.step)
    return Turn(time.perf_counter() - start, time.process_time() - cpu_start)


if __name__ == "__main__":
    main()
