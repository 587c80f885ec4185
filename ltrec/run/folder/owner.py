"""The process that trains in a run folder, and whether it may still be alive."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, identified well enough that a later process with the same id cannot be mistaken for it.

    Attributes:
        host: the machine's name.
        boot: id of the machine's boot; empty if unknown.
        space: PID namespace, since a container has its own; empty if unknown.
        pid: process id.
        started: start of the process in clock ticks since boot; 0 if unknown.
        since: when it locked the folder, UTC.
        job: Slurm job id; empty outside of a job.
        attempt: how often the job has been requeued, and how often torchrun has restarted its processes.
    """

    host: str
    boot: str
    space: str
    pid: int
    started: int
    since: str
    job: str
    attempt: tuple[int, int]

    def __str__(self) -> str:
        job = f", Slurm job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host} (since {self.since}{job})"

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    @staticmethod
    def from_json(values: Any) -> Owner:
        """The inverse.

        Raises:
            TypeError, ValueError, KeyError: it is something else.
        """
        texts = {f.name: str(values[f.name]) for f in fields(Owner) if f.name not in ("pid", "started", "attempt")}
        requeued, restarted = values["attempt"]
        return Owner(**texts, pid=int(values["pid"]), started=int(values["started"]), attempt=(int(requeued), int(restarted)))

    def why_gone(self, me: Owner, *, locked: bool) -> str | None:
        """Why this owner cannot be alive any more, as a clause; None when it may be.

        Args:
            me: this process.
            locked: whether this process got the lock of the folder; on one machine no other living process holds it then.
        """
        if self.job and self.job == me.job and self.attempt < me.attempt:
            return "an earlier attempt of this job"
        if (self.host, self.boot) == (me.host, me.boot):
            visible = self.space == me.space  # otherwise only the lock tells
            alive = is_alive(self.pid, self.started) if visible else not locked
            return None if alive else "which ended without removing its lock"
        if self.host == me.host and self.since < boot_time():
            return "which started before the last boot of this machine"
        return None

    def check_command(self) -> str:
        """A command that shows whether the process is alive."""
        return f"squeue -j {self.job}" if self.job else f"on {self.host}: ps -p {self.pid}"


def this_process(variables: Mapping[str, str] = os.environ) -> Owner:
    """This process."""
    return Owner(
        host=socket.gethostname(),
        boot=_line("/proc/sys/kernel/random/boot_id"),
        space=_link("/proc/self/ns/pid"),
        pid=os.getpid(),
        started=_stat(os.getpid())[1],
        since=_utc(datetime.now(UTC)),
        job=variables.get("SLURM_JOB_ID", ""),
        attempt=(_count(variables.get("SLURM_RESTART_COUNT", "")), _count(variables.get("TORCHELASTIC_RESTART_COUNT", ""))),
    )


def is_alive(pid: int, started: int) -> bool:
    """Whether exactly this process runs on this machine: not a later one with the same id, and not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # it belongs to another user
    state, since = _stat(pid)
    return state not in "ZX" and (0 in (started, since) or since == started)


def _stat(pid: int) -> tuple[str, int]:
    """State and start time of a process (Linux, proc(5)); ("?", 0) if unknown."""
    after_name = _line(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (after_name[0], int(after_name[19])) if len(after_name) > 19 else ("?", 0)


def boot_time() -> str:
    """When this machine was booted, UTC; empty if unknown."""
    for line in _lines("/proc/stat"):
        if line.startswith("btime "):
            return _utc(datetime.fromtimestamp(int(line.split()[1]), UTC))
    return ""


def _utc(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _count(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _line(path: str) -> str:
    return next(iter(_lines(path)), "")


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
