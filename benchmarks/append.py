"""What it costs to append a day to a prepared data set, against a full prepare of all events: CPU and wall-clock seconds, in turns.

    python benchmarks/append.py [--events 10000000] [--share 0.01] [--users 0.015] [--rounds 3] [--dir data/bench-append]

The log is that of `benchmarks/etl.py`. The day has a share of its events, on a share of its users, some new items, and comes after
all of it. Every round prepares both logs together and appends the second to a data set of the first, each in a process of its own,
whose imports do not count, also that of numpy.ma, which pyarrow imports with its first array. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.ma
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.etl import write_log
from ltrec.data.prepare.append.pipeline import append
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare

AFTER = 1_600_000_000
"""All times of the log are before this."""
DAY = 86_400


def write_day(path: Path, log: Path, events: int, users: float) -> None:
    """A day of `events` on a share of the users of a log."""
    draw = np.random.default_rng(1)
    known = np.unique(pq.read_table(log, columns=["user_id"])["user_id"].to_numpy())
    chosen = draw.choice(known, max(1, round(users * known.size)), replace=False)
    item = np.minimum(1 / draw.random(events) ** 1.2, 2 * events).astype(np.int64)
    times = AFTER + draw.integers(0, DAY, events)
    pq.write_table(pa.table({"user_id": draw.choice(chosen, events), "item_id": item * 104729 + 3, "timestamp": times}), path)


def config_of(*logs: Path) -> PrepareConfig:
    """One thread, so that CPU seconds do not depend on cores."""
    return PrepareConfig(name="bench", sources=tuple(map(str, logs)), memory_limit="2GB", threads=1, time_unit="s")


def run_one(what: str, folder: Path) -> tuple[float, float]:
    """CPU and wall-clock seconds of a step."""
    log, day, parent, out = folder / "log.parquet", folder / "day.parquet", folder / "parent", folder / what
    begin, since = time.process_time(), time.perf_counter()
    if what == "append":
        append(config_of(day), parent, out, overwrite=True)
    else:
        prepare(config_of(*([log] if what == "parent" else [log, day])), out, overwrite=True)
    return time.process_time() - begin, time.perf_counter() - since


def measured(what: str, folder: Path) -> tuple[float, float]:
    """The same in a process of its own, whose output is removed."""
    words = [sys.executable, "-m", "benchmarks.append", "--only", what, "--dir", str(folder)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    shutil.rmtree(folder / what)
    cpu, wall = json.loads(done.stdout)
    return cpu, wall


def main() -> None:
    """Measure both in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--share", type=float, default=0.01, help="events of the day")
    parser.add_argument("--users", type=float, default=0.015, help="users of the day")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=Path("data/bench-append"))
    parser.add_argument("--only", choices=("parent", "full", "append"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        print(json.dumps(run_one(asked.only, asked.dir)))
        return
    shutil.rmtree(asked.dir, ignore_errors=True)
    asked.dir.mkdir(parents=True)
    write_log(asked.dir / "log.parquet", asked.events)
    write_day(asked.dir / "day.parquet", asked.dir / "log.parquet", round(asked.share * asked.events), asked.users)
    run_one("parent", asked.dir)
    rounds = [(measured("full", asked.dir), measured("append", asked.dir)) for _ in range(asked.rounds)]
    found: dict[str, object] = {"events": asked.events, "rounds": rounds}
    for place, kind in enumerate(("cpu", "wall")):
        full, appended = (statistics.median(one[place] for one in step) for step in zip(*rounds, strict=True))
        print(f"full prepare {full:.2f} s, append {appended:.2f} s ({kind}): {appended / full:.1%}")
        found[kind] = {"full": full, "append": appended, "share": appended / full}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
