"""A run's process: `serve` does one job and leaves one JSON file.

The process ends when the one that started it ends, and holds a lock on its job, so that a benchmark that was killed and started
again never has two processes in one run folder. Training resumes from its last checkpoint by itself; the clock goes on, too.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.run.folder.config_file import folder_of
from ltrec.run.train import train


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is told, and where it leaves what it found.

    Attributes:
        config: file of the resolved config.
        result: JSON file to write.
        lock: file that keeps other processes from this run.
        asks: what to do beside training, in JSON values.
    """

    config: str
    result: str
    lock: str
    asks: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """For the process to read."""
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, json.dumps(asdict(self)))


class Clock(threading.Thread):
    """Seconds that a run has taken over all the processes that worked on it, to about two seconds."""

    def __init__(self, path: Path, config: Path) -> None:
        super().__init__(daemon=True)
        self.path, self.config = path, config
        self.before = json.loads(path.read_text()) if path.exists() else {"wall": 0.0, "processor": 0.0}
        self.start_wall, self.start_processor, self.stopped = time.monotonic(), time.process_time(), threading.Event()

    def run(self) -> None:
        """Tick."""
        while not self.stopped.wait(2.0):
            self.note()

    def note(self) -> dict[str, float]:
        """Write and return the sums so far."""
        now = {
            "wall": self.before["wall"] + time.monotonic() - self.start_wall,
            "processor": self.before["processor"] + time.process_time() - self.start_processor,
        }
        if self.config.exists():  # a new run refuses a folder that holds files and no config
            atomic_write_text(self.path, json.dumps(now))
        return now

    def stop(self) -> dict[str, float]:
        """No more ticks."""
        self.stopped.set()
        self.join()
        return self.note()


def end_with_parent() -> None:
    """Watch the process that started this one; without it nobody would know of this one."""

    def watch(parent: int) -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, args=(os.getppid(),), daemon=True).start()


def timed_training(config: RunConfig) -> dict[str, float]:
    """Train to the end unless that was done before; seconds on the clock and of the processor."""
    run = folder_of(config)
    done = run.path / "trained.json"
    if done.exists():
        finished: dict[str, float] = json.loads(done.read_text())
        return finished
    clock = Clock(run.path / "clock.json", run.config)
    clock.start()
    train(config)
    seconds = clock.stop()
    atomic_write_text(done, json.dumps(seconds))
    return seconds


def serve(work: Callable[[Job], dict[str, Any]]) -> None:
    """Do the job that the command line names."""
    job = Job(**json.loads(Path(sys.argv[1]).read_text()))
    torch.set_num_threads(1)
    end_with_parent()
    with Path(job.lock).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits for a process that has lost its parent and is about to end
        try:
            atomic_write_text(Path(job.result), json.dumps(work(job)))
        except UserError as error:
            sys.exit(f"error: {error}")
