"""What `ltrec prepare` costs against a bare sort of the same log: CPU seconds, and peak memory of the whole process.

    python benchmarks/etl.py [--events 5000000] [--memory-limit 512MB] [--threads 1] [--format parquet] [--engine spark]

A log of made-up events in random order (users of lognormal activity, popular items, whole seconds) is written once and kept in DIR.
Bare sort: DuckDB under the same limit, log in, file ordered by user and time out. Each is a process of its own; the last line is
JSON. With `--engine spark` prepare runs in Spark's local mode, with a heap of the memory limit, and the costs of Java stand beside.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import database, quoted
from ltrec.data.prepare.pipeline import prepare

CHUNK = 1_000_000
MIB = 2**20
LEFT_OVER_MIB = 250
"""Of a process with numpy, pyarrow and DuckDB, beside 1.5 times the memory limit."""


def write_log(path: Path, events: int, *, seed: int = 0) -> None:
    """A log of `events` rows in random order: about 50 events a user, one item in a thousand events, both by skewed popularity."""
    draw = np.random.default_rng(seed)
    users = np.exp(draw.normal(0, 1, max(2, events // 50))).cumsum()
    items = (1 / np.arange(1, max(3, min(1_000_000, events // 100)) + 1) ** 0.9).cumsum()
    writer: pq.ParquetWriter | pa_csv.CSVWriter | None = None
    for start in range(0, events, CHUNK):
        rows = min(CHUNK, events - start)
        user = np.searchsorted(users, draw.random(rows) * users[-1]).astype(np.int64)
        item = np.searchsorted(items, draw.random(rows) * items[-1]).astype(np.int64)
        times = draw.integers(1_500_000_000, 1_600_000_000, rows)
        table = pa.table({"user_id": user * 7919 + 1, "item_id": item * 104729 + 3, "timestamp": times})
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema) if path.suffix == ".parquet" else pa_csv.CSVWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def bare_sort(log: Path, out: Path, memory_limit: str, threads: int) -> None:
    """The log ordered by user and time, by DuckDB alone."""
    out.mkdir(parents=True)
    read = f"read_parquet({quoted(log)})" if log.suffix == ".parquet" else f"read_csv({quoted(log)})"
    with database(out, memory_limit, threads) as connection:
        query = f"SELECT * FROM {read} ORDER BY user_id, timestamp"
        connection.execute(f"COPY ({query}) TO {quoted(out / 'sorted.parquet')} (FORMAT parquet, COMPRESSION zstd)")


def whole(log: Path, out: Path, memory_limit: str, threads: int, engine: str) -> dict[str, object]:
    """The log prepared; returns CPU seconds of this process by step, and the digest of the data set."""
    spent: dict[str, float] = {}
    step, since = "start", time.process_time()

    def on_progress(name: str, done: int, total: int) -> None:  # noqa: ARG001
        nonlocal step, since
        now = time.process_time()
        spent[step] = spent.get(step, 0.0) + now - since
        step, since = name, now

    config = PrepareConfig(sources=(str(log),), memory_limit=memory_limit, threads=threads, min_user_events=2, engine=engine)
    manifest = prepare(config, out, on_progress)
    on_progress("end", 0, 0)
    return {"cpu_by_step": {name: round(seconds, 2) for name, seconds in spent.items()}, "digest": manifest.digest}


def measured(what: str, log: Path, out: Path, memory_limit: str, threads: int, engine: str) -> dict[str, object]:
    """One of them in a process of its own: CPU seconds, seconds, peak MiB, and what it says itself."""
    shutil.rmtree(out, ignore_errors=True)
    words = [sys.executable, __file__, "--only", what, "--log", str(log), "--out", str(out)]
    words += ["--memory-limit", memory_limit, "--threads", str(threads), "--engine", engine]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    environment.setdefault("PYSPARK_SUBMIT_ARGS", f"--driver-memory {round(mebibytes(memory_limit))}m pyspark-shell")
    begin = time.perf_counter()
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    shutil.rmtree(out)
    return {"seconds": round(time.perf_counter() - begin, 2), **found}


def run_one(what: str, log: Path, out: Path, memory_limit: str, threads: int, engine: str) -> dict[str, object]:
    """In the child."""
    said = whole(log, out, memory_limit, threads, engine) if what == "prepare" else None
    if said is None:
        bare_sort(log, out, memory_limit, threads)
    own = resource.getrusage(resource.RUSAGE_SELF)
    found = {"cpu_seconds": round(own.ru_utime + own.ru_stime, 2), "peak_mib": round(own.ru_maxrss / 1024)}
    return {**found, **(java() if engine == "spark" else {}), **(said or {})}


def java() -> dict[str, float]:
    """CPU seconds and peak MiB of the Java process that this process started; the seconds include its Python workers."""
    [pid] = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()[:1]
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
    peak = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    seconds = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return {"java_cpu_seconds": round(seconds, 2), "java_peak_mib": round(int(peak.split()[1]) / 1024)}


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--memory-limit", default="512MB")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--format", choices=("parquet", "csv"), default="parquet")
    parser.add_argument("--engine", choices=("duckdb", "spark"), default="duckdb", help="of prepare; the bare sort is DuckDB's")
    parser.add_argument("--dir", type=Path, default=Path("data/bench-etl"))
    parser.add_argument("--only", choices=("prepare", "sort"), help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        print(json.dumps(run_one(asked.only, asked.log, asked.out, asked.memory_limit, asked.threads, asked.engine)))
        return
    asked.dir.mkdir(parents=True, exist_ok=True)
    log = asked.dir / f"log-{asked.events}.{asked.format}"
    if not log.exists():
        write_log(log, asked.events)
    limits = asked.memory_limit, asked.threads
    found = {
        what: measured(what, log, asked.dir / what, *limits, engine)
        for what, engine in (("sort", "duckdb"), ("prepare", asked.engine))
    }
    print(
        json.dumps(
            {
                "benchmark": "etl",
                **{key: getattr(asked, key) for key in ("events", "memory_limit", "threads", "format", "engine")},
                **found,
                "cpu_ratio": round(found["prepare"]["cpu_seconds"] / found["sort"]["cpu_seconds"], 2),
                "peak_allowed_mib": round(1.5 * mebibytes(asked.memory_limit) + LEFT_OVER_MIB),
            }
        )
    )


def mebibytes(limit: str) -> float:
    """MiB of a limit such as 512MB or 1GB (decimal, as DuckDB reads it)."""
    units = {"GIB": 2**30, "MIB": 2**20, "GB": 10**9, "MB": 10**6}
    unit = next(unit for unit in units if limit.upper().endswith(unit))
    return float(limit[: -len(unit)]) * units[unit] / MIB


if __name__ == "__main__":
    main()
