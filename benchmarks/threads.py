"""How threads should wait: a training step alone, and beside a process that keeps a core busy.

    python benchmarks/threads.py                                            the quick start's model on a synthetic log, two cores
    python benchmarks/threads.py --set model.width=128 stream.batch_rows=384
    python benchmarks/threads.py --alone 'chrt -f 10' --beside 'nice -n -20'        on a machine that is never quiet, as root

For each way of waiting a worker process of its own, all pinned to the same cores, with as many OpenMP threads. They take turns of a
few steps, round after round, first alone and then beside `--busy` processes that count, so that what else the machine does falls
on all alike. Figures are medians of a turn's milliseconds per step; ratios are to `default`, turn by turn. The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_log import prepare_log

from ltrec.data.fetch import SyntheticConfig, fetch_synthetic
from ltrec.run.process.cores import WAIT_SETTINGS

WAYS = {"default": {}, "ltrec": WAIT_SETTINGS, "passive": {"OMP_WAIT_POLICY": "PASSIVE"}}
"""What each worker is told: nothing, so that libgomp spins for as long as it likes; what ltrec says; not to spin at all."""
WORKER = Path(__file__).with_name("threads_worker.py")
VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def main() -> None:
    """Measure, print a table; the last line is one JSON object."""
    options = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or synthetic(Path(folder))
        result = {"cores": options.cores, "threads": len(options.cores.split(",")), "busy": options.busy, "set": options.set}
        for name, busy, under in (("alone", 0, options.alone), ("busy", options.busy, options.beside)):
            if name not in options.halves.split(","):
                continue
            with workers(data, options, under) as started, competitors(busy, options.cores, under):
                result[name] = turns(started, options.rounds)
            for way, figures in result[name].items():
                print(f"{name:6} {way:12} {figures['ms']:8.2f} ms a step, {figures['ratio']:.3f} of default", flush=True)
    print(json.dumps(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a prepared data set instead of a synthetic one")
    parser.add_argument("--cores", default="0,1", help="where everything runs, as taskset has it")
    parser.add_argument("--busy", type=int, default=1, help="competing processes of the second half")
    parser.add_argument("--halves", default="alone,busy", help="which to run")
    parser.add_argument("--rounds", type=int, default=15, help="turns of every worker")
    parser.add_argument("--steps", type=int, default=5, help="steps of a turn")
    parser.add_argument("--alone", type=shlex.split, default=[], help="what workers of the first half run under")
    parser.add_argument("--beside", type=shlex.split, default=[], help="the same of the second half, and its busy processes")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings that differ from the quick start's")
    return parser.parse_args()


def synthetic(folder: Path) -> Path:
    """A prepared log of the size of MovieLens-100K."""
    events = fetch_synthetic(SyntheticConfig(users=1000, items=1600, events_per_user=100.0), folder / "log")
    prepare_log(events, folder / "data")
    return folder / "data"


Workers = dict[str, subprocess.Popen[str]]


@contextmanager
def workers(data: Path, options: argparse.Namespace, under: list[str]) -> Iterator[Workers]:
    """One process for each way, warm and waiting."""
    bare = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    threads = str(len(options.cores.split(",")))
    words = ["taskset", "-c", options.cores, *under, sys.executable, str(WORKER)]
    words += [str(data), str(options.steps), *options.set]
    started = {
        way: subprocess.Popen(
            words, env={**bare, "OMP_NUM_THREADS": threads, **told}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for way, told in WAYS.items()
    }
    try:
        for process in started.values():
            assert process.stdout is not None
            process.stdout.readline()
        yield started
    finally:
        for process in started.values():
            process.kill()
            process.wait()


@contextmanager
def competitors(count: int, cores: str, under: list[str]) -> Iterator[None]:
    """Processes that do nothing but keep the same cores busy."""
    words = ["taskset", "-c", cores, *under, sys.executable, "-c", "while True: pass"]
    started = [subprocess.Popen(words) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def turns(started: Workers, rounds: int) -> dict[str, dict[str, float]]:
    """Every worker's turns, one after the other: median milliseconds, and median ratio to `default` in the same round."""
    seen: dict[str, list[float]] = {way: [] for way in started}
    for number in range(rounds + 1):
        for way, process in started.items():
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            milliseconds = float(process.stdout.readline())
            if number:
                seen[way].append(milliseconds)
    return {
        way: {
            "ms": round(statistics.median(own), 3),
            "ratio": round(statistics.median(a / b for a, b in zip(own, seen["default"], strict=True)), 4),
        }
        for way, own in seen.items()
    }


if __name__ == "__main__":
    main()
