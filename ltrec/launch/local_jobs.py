"""Several runs on this machine, a limited number at a time, each with its own processors and log. If one fails, the others go on.

A run is started as a Slurm job starts it: from its folder's config.yaml, in a session of its own, so that Ctrl-C reaches only this
process. The first Ctrl-C makes every run save and end (the file STOP); a second one kills. If this process is killed, the kernel
signals the runs (`run/process/parent_death_signal.py`), which save and end as well.
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
from ltrec.terminal.progress_text import duration

DONE = "done"
_POLL_SECONDS = 0.1
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class Task:
    """A run, and the command that trains it on its share of the machine."""

    run: RunConfig
    command: Callable[[Share], list[str]]
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> RunFolder:
        """The run folder."""
        return folder_of(self.run)

    @property
    def log(self) -> Path:
        """The log of training."""
        return self.folder.launch_log


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended (`done`, or what happened instead), and after how many seconds."""

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
class ReceivedSignals:
    """Received stop signals, in order of arrival."""

    signals: list[int] = field(default_factory=list)

    def note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (a signal handler)
        """Handle a signal."""
        self.signals.append(number)


@contextlib.contextmanager
def record_signals() -> Iterator[ReceivedSignals]:
    """Record SIGINT, SIGTERM and SIGHUP while the context lasts."""
    received = ReceivedSignals()
    before = {number: signal.signal(number, received.note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_all(tasks: Sequence[Task], shares: Sequence[Share], received: ReceivedSignals, say: Callable[[str], None]) -> list[Outcome]:
    """Run every task, as many at a time as there are shares; returns the outcomes in the order of the tasks.

    Args:
        tasks: what to run.
        shares: processors, one share for each job at a time.
        received: signals. After the first no task is started and running ones save and end; a second kills them.
        say: called with a line when a run starts and when it ends.
    """
    free, waiting = list(shares), list(enumerate(tasks, start=1))
    running: list[_Job] = []
    ended: dict[int, Outcome] = {}
    handled = 0
    try:
        while running or (waiting and not received.signals):
            while free and waiting and not received.signals:
                number, task = waiting.pop(0)
                running.append(_start(number, task, free.pop(0)))
                say(f"[{number}/{len(tasks)}] {task.run.name}: {running[-1].share.describe(task.run)}; log {task.log}")
            handled = _handle_signals(received, handled, running, say)
            time.sleep(_POLL_SECONDS)
            for job in [job for job in running if job.process.poll() is not None]:
                running.remove(job)
                free.append(job.share)
                ended[job.number] = outcome = _outcome_of(job)
                took = duration(outcome.seconds, digits=0)
                say(f"[{job.number}/{len(tasks)}] {job.task.run.name}: {outcome.state}, {took}{_reason(outcome)}")
    finally:
        for job in running:  # only after an error here
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


def _handle_signals(received: ReceivedSignals, handled: int, running: Sequence[_Job], say: Callable[[str], None]) -> int:
    """Act on new signals; returns how many have been handled."""
    if len(received.signals) == handled:
        return handled
    if handled == 0:
        say(f"asking {len(running)} run(s) to save and end; Ctrl-C again kills them")
        for job in running:
            job.task.folder.stop.touch()
    if len(received.signals) > 1:
        say("killing the runs; their last checkpoints are intact")
        for job in running:
            kill(job.process.pid)
    return len(received.signals)


def kill(pid: int) -> None:
    """Kill a process and all its descendants: torchrun's workers are in sessions of their own."""
    with contextlib.suppress(OSError):
        children = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
        os.kill(pid, signal.SIGKILL)
        for child in children:
            kill(int(child))


def _outcome_of(job: _Job) -> Outcome:
    """How a job ended, by its exit code and its run folder."""
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
    """The line of the log that says why a run failed; empty if it did not."""
    if not outcome.state.startswith("failed"):
        return ""
    text = outcome.task.log.read_bytes()[-20_000:].decode(errors="replace")
    lines = [line.strip() for line in _ESCAPES.sub("", text).splitlines() if line.strip()]
    candidates = [line for line in lines if "error: " in line.lower()] or lines
    return f": {candidates[-1]}" if candidates else ""
