"""Several runs on this machine, so many at a time, each with processors and a log of its own; a failure of one is its own.

A run is started as a Slurm job starts it: from its folder's config.yaml, in a session of its own, so that Ctrl-C reaches only this
process. The first Ctrl-C asks every run to save and end (the file STOP); a second one kills. Should this process be killed, the
kernel signals the runs (`run/process/parent_death_signal.py`), which save and end as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from ltrec.config.tree import RunConfig
from ltrec.core.storage.run_folder import RunFolder
from ltrec.launch.processor_shares import Share
from ltrec.launch.torchrun import FRESH_STORE
from ltrec.run.folder.config_file import folder_of

DONE = "done"
_POLL_SECONDS = 0.1
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Task:
    """A run, and the command that trains it in a share of the machine."""

    run: RunConfig
    command: Callable[[Share], list[str]]
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> RunFolder:
        """The run folder."""
        return folder_of(self.run)

    @property
    def log(self) -> Path:
        """Where everything goes that training says."""
        return self.folder.launch_log


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: `done`, or what else, and after how many seconds."""

    task: Task
    state: str
    seconds: float


@dataclass(slots=True)
class _Job:
    number: int
    task: Task
    share: Share
    process: subprocess.Popen[bytes]
    began: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class Heard:
    """Signals that ask this process to end, in their order."""

    signals: list[int] = field(default_factory=list)

    def note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (a signal handler)
        """The handler."""
        self.signals.append(number)


@contextlib.contextmanager
def hearing() -> Iterator[Heard]:
    """Note SIGINT, SIGTERM and SIGHUP for as long as the context lasts."""
    heard = Heard()
    before = {number: signal.signal(number, heard.note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_all(tasks: Sequence[Task], shares: Sequence[Share], heard: Heard, say: Callable[[str], None]) -> list[Outcome]:
    """Run every task, as many at a time as there are shares; returns how each ended, in their order.

    Args:
        tasks: what to run.
        shares: what a job may use; one for each job at a time.
        heard: signals. After the first no task is started, and those that run are asked to save and end; after the second they die.
        say: called with a line when a run starts and when it ends.
    """
    free, waiting = list(shares), list(enumerate(tasks, start=1))
    running: list[_Job] = []
    ended: dict[int, Outcome] = {}
    answered = 0
    try:
        while running or (waiting and not heard.signals):
            while free and waiting and not heard.signals:
                number, task = waiting.pop(0)
                running.append(_start(number, task, free.pop(0)))
                say(f"[{number}/{len(tasks)}] {task.run.name}: {running[-1].share.describe(task.run)}; log {task.log}")
            answered = _answer(heard, answered, running, say)
            time.sleep(_POLL_SECONDS)
            for job in [job for job in running if job.process.poll() is not None]:
                running.remove(job)
                free.append(job.share)
                ended[job.number] = outcome = _ended(job)
                say(f"[{job.number}/{len(tasks)}] {job.task.run.name}: {outcome.state}, {clock(outcome.seconds)}{_reason(outcome)}")
    finally:
        for job in running:  # only when something broke here
            job.process.terminate()
    return [ended.get(number, Outcome(task, "not started", 0.0)) for number, task in enumerate(tasks, start=1)]


def _start(number: int, task: Task, share: Share) -> _Job:
    for leftover in (task.folder.stop, task.folder.requeue):  # of an earlier attempt
        leftover.unlink(missing_ok=True)
    task.log.parent.mkdir(parents=True, exist_ok=True)
    cores = ",".join(map(str, share.cpus)) or "-"
    with open(task.log, "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ltrec.run.process.parent_death_signal", cores, *task.command(share)],
            env={**share.variables(task.run, os.environ), **FRESH_STORE, **task.variables},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return _Job(number, task, share, process)


def _answer(heard: Heard, answered: int, running: Sequence[_Job], say: Callable[[str], None]) -> int:
    """Act on signals that are new; returns how many were acted on."""
    if len(heard.signals) == answered:
        return answered
    if answered == 0:
        say(f"asking {len(running)} run(s) to save and end; Ctrl-C again kills them")
        for job in running:
            job.task.folder.stop.touch()
    if len(heard.signals) > 1:
        say("killing what still runs; the last checkpoints are good")
        for job in running:
            kill(job.process.pid)
    return len(heard.signals)


def kill(pid: int) -> None:
    """Kill a process and all that it started: torchrun's workers are in sessions of their own."""
    with contextlib.suppress(OSError):
        children = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
        os.kill(pid, signal.SIGKILL)
        for child in children:
            kill(int(child))


def _ended(job: _Job) -> Outcome:
    """What the exit code and the run folder say."""
    run, code = job.task.folder, job.process.returncode
    run.stop.unlink(missing_ok=True)
    if code < 0:
        state = f"killed ({signal.Signals(-code).name})"
    elif code in (128 + signal.SIGTERM, 128 + signal.SIGINT):
        state = "stopped"
    elif code:
        state = f"failed (exit {code})"
    else:
        state = f"stopped at step {json.loads(run.requeue.read_text())['step']}" if run.requeue.exists() else DONE
    return Outcome(job.task, state, time.monotonic() - job.began)


def _reason(outcome: Outcome) -> str:
    """Of a failure, the line of the log that says why."""
    if not outcome.state.startswith("failed"):
        return ""
    said = outcome.task.log.read_bytes()[-20_000:].decode(errors="replace")
    lines = [line.strip() for line in _ESCAPES.sub("", said).splitlines() if line.strip()]
    told = [line for line in lines if "error: " in line.lower()] or lines
    return f": {told[-1]}" if told else ""


def clock(seconds: float) -> str:
    """``0:07``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
