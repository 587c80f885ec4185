"""Identity of the process that trains in a run folder, and whether it can still be alive."""

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
    """A process, known well enough that its number cannot be mistaken for a later process's.

    Attributes:
        host: the machine's name.
        boot: changes whenever the machine starts. Empty where it is unknown.
        space: in which process ids are counted: a container has its own. Empty where it is unknown.
        pid: process id.
        started: when the process started, in the kernel's clock ticks since boot; 0 where it is unknown.
        since: when it came into the folder, UTC.
        job: Slurm's number of the job; empty outside one.
        attempt: how often that job was requeued before, and how often torchrun had started its processes again.
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
        told = {f.name: str(values[f.name]) for f in fields(Owner) if f.name not in ("pid", "started", "attempt")}
        requeued, restarted = values["attempt"]
        return Owner(**told, pid=int(values["pid"]), started=int(values["started"]), attempt=(int(requeued), int(restarted)))

    def gone(self, me: Owner, *, locked: bool) -> str | None:
        """Why this owner cannot be there any more, in a clause; None when it may.

        Args:
            me: who asks.
            locked: the folder's lock was free, which on one machine says that no living process holds it.
        """
        if self.job and self.job == me.job and self.attempt < me.attempt:
            return "an earlier attempt of this job"
        if (self.host, self.boot) == (me.host, me.boot):
            seen = self.space == me.space  # else only the lock can tell
            lives = is_alive(self.pid, self.started) if seen else not locked
            return None if lives else "which has ended without letting go"
        if self.host == me.host and self.since < booted_at():
            return "which was there before this machine started anew"
        return None

    def how_to_be_sure(self) -> str:
        """A command that tells."""
        return f"squeue -j {self.job}" if self.job else f"on {self.host}: ps -p {self.pid}"


def myself(variables: Mapping[str, str] = os.environ) -> Owner:
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
    """Whether that very process runs on this machine: not a later one of the same number, nor one that is dead and not buried."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # of another user
    state, since = _stat(pid)
    return state not in "ZX" and (0 in (started, since) or since == started)


def _stat(pid: int) -> tuple[str, int]:
    """State and start of a process (Linux, proc(5)); a state of our own and 0 where nobody says."""
    after_name = _line(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (after_name[0], int(after_name[19])) if len(after_name) > 19 else ("?", 0)


def booted_at() -> str:
    """When this machine started, UTC; empty where nobody says."""
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
