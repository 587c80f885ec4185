"""CPU seconds from typing a command to its answer, where there is nothing to compute: help, and settings.

    python benchmarks/start.py [--repeats 5]

Each command is a process of its own with one thread; the last line is JSON: command -> median of user and system time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys

CONFIG = "conf/experiment/quickstart.yaml"
COMMANDS = (
    ("prepare", "--help"),
    ("train", "--help"),
    ("train", "--print-config", CONFIG),
    ("launch", "slurm", CONFIG, "name=start", "--dry-run"),
    ("evaluate", "--help"),
)


def cpu_seconds(words: tuple[str, ...]) -> float:
    """User and system time of one call."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "ltrec", *words], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure every command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    found = {}
    for words in COMMANDS:
        name = " ".join(["ltrec", *words])
        found[name] = round(statistics.median(cpu_seconds(words) for _ in range(repeats)), 3)
        print(f"{found[name]:8.2f} s  {name}")
    print(json.dumps({"benchmark": "start", "repeats": repeats, "cpu_seconds": found}))


if __name__ == "__main__":
    main()
