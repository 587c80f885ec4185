"""A torchrun job that a test will kill: who belongs to it, how far it has come, and its end, wanted or not."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tests.support.commands import start
from tests.support.killable_process import KillableProcess
from tests.support.timeouts import scaled

HANG = 120.0
"""Seconds after a rank's death by which the job must have ended by itself."""

_TAIL = 16384  # bytes, of which the last line of metrics.jsonl is a part


def wait_for(
    condition: Callable[[], object], process: subprocess.Popen | KillableProcess, seconds: float = 120, *, poll: float = 0.002
) -> None:
    """Until it holds; the process must be alive all the while."""
    deadline = time.monotonic() + scaled(seconds)
    while not condition():
        assert process.poll() is None, f"ended with {process.returncode} before it could be killed"
        assert time.monotonic() < deadline, "never came that far"
        time.sleep(poll)


def lines_written(run: Path) -> int:
    """Of metrics.jsonl."""
    metrics = run / "metrics.jsonl"
    return metrics.read_bytes().count(b"\n") if metrics.exists() else 0


def words_of(pid: int) -> list[str]:
    """The command line of a process; one empty word when it is gone, or ended."""
    return _null_separated(pid, "cmdline") or [""]


def _null_separated(pid: int, what: str) -> list[str]:
    """Words of /proc/PID/cmdline or environ; none when the process is gone."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def rank_of(pid: int) -> str | None:
    """The rank of a torchrun worker, from its environment."""
    return next((word[5:] for word in _null_separated(pid, "environ") if word.startswith("RANK=")), None)


def workers(torchrun: int) -> dict[str, int]:
    """Process ids of torchrun's workers by rank."""
    children = Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split()
    return {rank: int(pid) for pid in children if (rank := rank_of(int(pid))) is not None}


def members(word: str) -> list[int]:
    """Process ids of all who were started with this very word on their command line, torchrun and its workers alike."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if word in _null_separated(pid, "cmdline") and pid != os.getpid()]


def end_members(word: str) -> None:
    """SIGKILL to all of them, until there are none."""
    deadline = time.monotonic() + scaled(30)
    while pids := members(word):
        assert time.monotonic() < deadline, f"{pids} cannot be killed"
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


class Job:
    """`ltrec launch local` in two processes, training the run called r under `out`.

    Args:
        out: folder of the run; no other job may have it.
        words: configs and key=value words besides out= and name=.
        log: file for all that is printed.
    """

    def __init__(self, out: Path, words: list[str], log: Path) -> None:
        self.run, self.log, self._mark = out / "r", log, f"out={out}"
        self._words = ["launch", "local", "--processes", "2", *words, self._mark, "name=r"]
        self._output: IO[bytes] | None = None

    def __enter__(self) -> Job:
        end_members(self._mark)  # left over from a test that was itself killed
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._output = open(self.log, "wb")
        self.process = start(*self._words, output=self._output)
        return self

    def __exit__(self, *_: object) -> None:
        end_members(self._mark)
        self.process.wait(30)
        assert self._output is not None
        self._output.close()

    def begun_at(self) -> int | None:
        """The step it starts or resumes at; None before it said so. By then metrics.jsonl has been cut back."""
        found = re.search(r"^(?:starting|resuming) at step (\d+):", self.log.read_text(errors="replace"), re.MULTILINE)
        return None if found is None else int(found[1])

    def last_line(self) -> dict[str, float]:
        """Of metrics.jsonl, as far as it is whole."""
        metrics = self.run / "metrics.jsonl"
        if not metrics.exists():
            return {}
        with open(metrics, "rb") as handle:
            handle.seek(max(0, os.fstat(handle.fileno()).st_size - _TAIL))
            lines = handle.read().split(b"\n")[:-1]
        return json.loads(lines[-1]) if lines else {}

    def step(self) -> int:
        """Steps written so far."""
        return int(self.last_line().get("step", 0))

    def is_writing(self) -> bool:
        """Whether a checkpoint is on its way to the disk."""
        return any(name.endswith(".tmp") for name in os.listdir(self.run / "checkpoints"))

    def kill(self, victim: str) -> None:
        """SIGKILL to rank `0` or `1`, or to the whole `job`."""
        if victim == "job":
            end_members(self._mark)
        else:
            os.kill(workers(self.process.pid)[victim], signal.SIGKILL)

    def end(self, seconds: float = HANG) -> int:
        """The exit code, once it has ended by itself.

        Raises:
            subprocess.TimeoutExpired: it hangs.
        """
        code = self.process.wait(scaled(seconds))
        assert not (left := members(self._mark)), f"torchrun ended and left {left} behind"
        return code
