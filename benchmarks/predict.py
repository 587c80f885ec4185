"""`ltrec predict --input` for a million synthetic users: users per second, peak memory, share of the matrix product's ceiling.

    python benchmarks/predict.py                                   10^6 users, 10,000 items
    python benchmarks/predict.py --users 20000 --items 100000      fewer users, more items: where the product is most of the work

A run of SASRec (one step of training; how long a model was trained does not change what it takes to use it) answers users with
histories of 2 to 20 items, in lists, with one thread, and then a tenth of them: `peak_mib` of both shows whether memory grows.
The ceiling is what the job's matrix products alone would take (scores of all items, and the encoder at real positions) at the
rate of the fastest product of states and item table, measured before and after in processor seconds. `share` is that over the
processor seconds of the job, from the start of the command: reading, routing, encoder, scores, filter, top k and writing;
`share_without_start` is that of the nine tenths of the users by which the two jobs differ. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import ltrec

PER_USER, LONGEST, WIDTH, BLOCKS, FILE_USERS = 10, 20, 64, 2, 100_000
RUN = (f"model.width={WIDTH}", f"model.blocks={BLOCKS}", "objective.negatives=64", "trainer.max_steps=1", "trainer.accelerator=cpu")
COMMAND = "import sys; from ltrec.cli.main import main; main(sys.argv[1:]); print(open('/proc/self/status').read())"
"""The command, and then the peak of its memory; what the parent could ask for is no less than its own."""


def main() -> None:
    """Measure; the last line is one JSON object."""
    arguments = _arguments()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run = _run(work, arguments.items)
        counts = {name: _histories(work / name, users, arguments.items) for name, users in _sizes(arguments.users).items()}
        rates = [_rate(arguments.items, arguments.chunk)]
        jobs = {name: _job(run, work, name, arguments) for name in counts}
        rates.append(_rate(arguments.items, arguments.chunk))
    job, floor = jobs["all"], _flops(arguments.users, counts["all"], arguments.items) / max(rates)
    result = {
        "benchmark": "predict",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "users": arguments.users,
        "items": arguments.items,
        "k": arguments.k,
        **{name: round(value, 2) for name, value in job.items()},
        "peak_mib_of_a_tenth": round(jobs["tenth"]["peak_mib"], 2),
        "users_per_cpu_s": round(arguments.users / job["cpu_seconds"]),
        "gflops": [round(rate / 1e9, 1) for rate in rates],
        "floor_cpu_seconds": round(floor, 2),
        "share": round(floor / job["cpu_seconds"], 3),
        "share_without_start": round(0.9 * floor / (job["cpu_seconds"] - jobs["tenth"]["cpu_seconds"]), 3),
    }
    print(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--chunk", type=int, default=1024, help="users scored at once")
    return parser.parse_args()


def _sizes(users: int) -> dict[str, int]:
    return {"all": users, "tenth": max(1, users // 10)}


def _run(work: Path, items: int) -> Path:
    """A run whose log has every item."""
    draw, users = np.random.default_rng(0), -(-items // PER_USER) + 64
    taken = np.concatenate([draw.permutation(items), draw.integers(0, items, users * PER_USER - items)])
    events = {"user_id": np.repeat(np.arange(users), PER_USER), "item_id": taken, "timestamp": np.arange(users * PER_USER)}
    pq.write_table(pa.table(events), work / "events.parquet")
    data = ltrec.prepare(work / "events.parquet", out=work / "data")
    assert data.manifest.vocab.items == items
    return ltrec.train(*RUN, f"data.path={data.path}", f"out={work}", "name=r").path


def _histories(folder: Path, users: int, items: int) -> int:
    """Write users with histories in files; returns the number of their items."""
    folder.mkdir()
    draw, total = np.random.default_rng(1), 0
    for number, start in enumerate(range(0, users, FILE_USERS)):
        lengths = draw.integers(2, LONGEST + 1, min(FILE_USERS, users - start))
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        lists = pa.ListArray.from_arrays(offsets, pa.array(draw.integers(0, items, lengths.sum())))
        names = pa.array(np.arange(start, start + len(lengths)))
        pq.write_table(pa.table({"user_id": names, "items": lists}), folder / f"{number:04}.parquet")
        total += int(lengths.sum())
    return total


def _job(run: Path, work: Path, name: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds, processor seconds and peak memory of the command."""
    words = ["--input", str(work / name), "--out", str(work / f"{name}-out"), "-k", str(arguments.k)]
    command = [sys.executable, "-c", COMMAND, "predict", str(run), f"evaluation.chunk_rows={arguments.chunk}", *words, "--json"]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True, check=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    told, status = done.stdout.split("\n", 1)
    assert json.loads(told)["counts"]["users"] == _sizes(arguments.users)[name]
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak / 1024}
    print(f"{name}: {found}", flush=True)
    return found


def _flops(users: int, positions: int, items: int) -> float:
    """Floating-point operations of the matrix products: six D x D matrices per block and position, and all scores; attention's
    products of short histories are left out."""
    return 2.0 * (users * items * WIDTH + positions * BLOCKS * 6 * WIDTH * WIDTH)


def _rate(items: int, rows: int) -> float:
    """Floating-point operations per processor second of the fastest of several products of states and item table."""
    table, states, scores, seconds = (
        torch.randn(items + 1, WIDTH),
        torch.randn(rows, WIDTH),
        torch.empty(rows, items + 1),
        list[float](),
    )
    for _ in range(9):
        start = time.process_time()
        torch.mm(states, table.T, out=scores)
        seconds.append(time.process_time() - start)
    return 2.0 * rows * WIDTH * items / min(seconds)


if __name__ == "__main__":
    main()
