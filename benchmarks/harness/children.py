"""Runs as processes of one thread each: begun, waited for with a sign of life, and their figures read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ltrec.config.load import dump
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.core.storage.run_folder import RunFolder

from .child import Job
from .ledger import Line, Run
from .measures import validations

HEARTBEAT_SECONDS = 60


def say(*words: object) -> None:
    """Progress, for people."""
    print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


class Children:
    """The processes of one sitting; safe to share between threads.

    Args:
        folder: of jobs, locks and logs.
        command: what a process is started with, before the name of its job; it ends in `child.serve`.

    Attributes:
        failed: labels of runs that ended in an error.
        stopping: no further run begins, and what has not ended is given up.
    """

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self.folder, self.command = folder, tuple(command)
        self.failed: list[str] = []
        self.stopping = threading.Event()

    def idle(self, label: str) -> bool:
        """Whether there is no point in beginning this: all are stopping, or it has failed before."""
        return self.stopping.is_set() or label in self.failed

    def fail(self, what: str, why: str) -> None:
        """Note it and go on with the others."""
        say(f"FAILED {what}: {why}")
        self.failed.append(what)

    def do(self, run: Run, phase: str, asks: dict[str, Any]) -> Line | None:
        """Figures of a run, made in a process of its own; None when it failed, which is told.

        Args:
            run: whose job it is.
            phase: of the benchmark; part of the files' names.
            asks: see `Job`.
        """
        base = self.folder / run.config.name
        config, job, result = (base.with_name(f"{base.name}.{phase}{end}") for end in (".yaml", ".json", ".result.json"))
        base.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(config, dump(run.config))
        Job(str(config), str(result), f"{base}.lock", asks).write(job)
        result.unlink(missing_ok=True)
        log = base.with_name(f"{base.name}.log")
        with log.open("a") as output:
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            child = subprocess.Popen([*self.command, str(job)], stdout=output, stderr=subprocess.STDOUT, env=environment)
            _wait(child, run)
        if self.stopping.is_set():
            return None
        if child.returncode or not result.exists():
            self.fail(run.label, f"exit code {child.returncode}, {_last_line(log)}; the log is {log}")
            return None
        found: Line = json.loads(result.read_text())
        return found


def _wait(child: subprocess.Popen[bytes], run: Run) -> None:
    """Until the process ends, with a sign of life now and then."""
    started, told = time.monotonic(), time.monotonic()
    while child.poll() is None:
        time.sleep(0.2)
        if time.monotonic() - told > HEARTBEAT_SECONDS:
            told = time.monotonic()
            say(f"{run.label}: {told - started:.0f} s, {_last_validation(RunFolder(run.folder).metrics)}")


def _last_validation(metrics: Path) -> str:
    """How far a run is."""
    seen = validations(metrics) if metrics.exists() else []
    return f"epoch {seen[-1]['epoch']:g}, NDCG@10 {seen[-1]['val/ndcg@10']:.4f}" if seen else "no validation yet"


def _last_line(log: Path) -> str:
    """The last thing a process said."""
    lines = log.read_text().strip().splitlines()
    return lines[-1] if lines else "without a word"
