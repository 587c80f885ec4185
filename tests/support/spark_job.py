"""A Spark prepare in a process of its own, with a JVM and Python workers below it, any of which a test kills.

python -m tests.support.spark_job SOURCE OUT CALL DELAY     prints "here" so many seconds after that call of a step, and works on
"""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from tests.support.killable_job import words_of
from tests.support.run_prepare import OPTIONS
from tests.support.source_tree import ROOT
from tests.support.timeouts import scaled

_CHEAP = (
    "--driver-memory 512m --driver-java-options '-XX:TieredStopAtLevel=1 -XX:+UseSerialGC' "
    "--conf spark.sql.codegen.wholeStage=false --conf spark.sql.codegen.factoryMode=NO_CODEGEN pyspark-shell"
)
"""Nothing is compiled for a process that dies in seconds."""
VICTIMS = ("all", "driver", "java", "worker")
STEPS = {
    "ltrec.data.prepare.engines.spark.tables": ["SparkTables._write"],
    "ltrec.data.prepare.engines.spark.shards": ["SortedShards.sort", "SortedShards.count", "SortedShards.write"],
    "ltrec.data.prepare.steps": ["measure_reach"],
    "ltrec.data.prepare.pipeline": ["publish"],
}
"""Module -> what is called for each table, for each pass over the sorted files, and at the end."""


@contextlib.contextmanager
def counted_steps(hear: Callable[[int], None]) -> Iterator[None]:
    """`hear` is called before every call of a step, with its number from 1."""
    calls, undo = [0], []
    for module, names in STEPS.items():
        for name in names:
            holder = importlib.import_module(module)
            *owner, last = name.split(".")
            for part in owner:
                holder = getattr(holder, part)
            original = getattr(holder, last)

            def counting(*args, original=original, **options):
                calls[0] += 1
                hear(calls[0])
                return original(*args, **options)

            setattr(holder, last, counting)
            undo.append((holder, last, original))
    try:
        yield
    finally:
        for holder, last, original in undo:
            setattr(holder, last, original)


def children(pid: int) -> list[int]:
    """Process ids of a process's children."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
    return found


def descendants(pid: int) -> list[int]:
    """Process ids of all below a process, parents first."""
    own = children(pid)
    return [*own, *(other for child in own for other in descendants(child))]


class SparkJob:
    """The process.

    Args:
        source: the log.
        out: folder of the data set.
        call: number of the step.
        delay: seconds after its beginning.
        log: file for what it writes to stderr.
    """

    def __init__(self, source: Path, out: Path, call: int, delay: float, log: Path) -> None:
        words = ["-m", "tests.support.spark_job", str(source), str(out), str(call), str(delay)]
        environment = {**os.environ, "PYSPARK_SUBMIT_ARGS": _CHEAP}
        with open(log, "w") as output:
            self.process = subprocess.Popen(
                [sys.executable, *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=output, start_new_session=True
            )

    def wait_for_step(self, seconds: float = 300) -> bool:
        """Whether it came that far before it ended.

        Raises:
            AssertionError: it hangs.
        """
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], scaled(seconds))
        assert ready, f"nothing within {seconds:.0f} s"
        return self.process.stdout.readline() == b"here\n"

    def kill(self, victim: str, draw: random.Random) -> None:
        """SIGKILL to all of the job, to the process that was started, its JVM, or a Python worker (its JVM, if there is none); then
        all of it ends by itself, soon.

        Raises:
            AssertionError: some of it is left.
        """
        below = descendants(self.process.pid)
        workers = [pid for pid in below if "pyspark.daemon" in words_of(pid)]
        java = [pid for pid in below if words_of(pid)[0].endswith("java")]
        chosen = {"all": [self.process.pid, *below], "driver": [self.process.pid], "java": java}
        chosen["worker"] = [draw.choice(workers)] if workers else java
        for pid in chosen[victim]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.left = below
        if self.process.pid in chosen[victim]:
            self.process.wait(scaled(60))  # only then its lock is released

    def wait_for_end(self, seconds: float = 120) -> int:
        """The exit code, once nothing of it is left.

        Raises:
            AssertionError: it hangs.
        """
        code, end = self.process.wait(scaled(seconds)), time.monotonic() + scaled(seconds)
        while left := [pid for pid in self.left if words_of(pid)[0]]:
            assert time.monotonic() < end, f"{left} go on"
            time.sleep(0.05)
        return code

    def end(self) -> None:
        """Nothing of it is left, whatever happened."""
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(scaled(30))


def main(source: str, out: str, call: str, delay: str) -> None:
    def hear(number: int) -> None:
        if number == int(call):
            threading.Timer(float(delay), lambda: print("here", flush=True)).start()

    with counted_steps(hear):
        prepare(PrepareConfig(sources=(source,), engine="spark", **OPTIONS), Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
