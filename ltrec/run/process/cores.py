"""Which cores this process may use, and how threads wait on them: settled in the environment before torch is imported.

OpenMP's threads wait for each other by spinning, for milliseconds: fine on cores of their own, ruinous beside another busy process,
which is what they then wait for. Ours spin for some tens of microseconds, about as long as from one operation of a small model to
the next, and then sleep (`benchmarks/threads.py`; figures in benchmarks/LOG.md).

How many there are is torch's own choice, one for each core it may run on, unless that is too many: it knows nothing of a
container's CPU quota, of Slurm's --cpus-per-task where that does not bind, or of other processes of the same run on this machine. A
variable that the user has set is left as it is; torchrun sets OMP_NUM_THREADS=1 for several processes when nobody has.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path

WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "3000"}
"""torch's wheels bring libgomp, for which the second decides, whatever the first says; other runtimes know only the first."""

_SAYS_HOW_TO_WAIT = (*WAITING, "KMP_BLOCKTIME")
_SAYS_HOW_MANY = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
MEMBERSHIP = Path("/proc/self/cgroup")
_CGROUPS, _TOPOLOGY = Path("/sys/fs/cgroup"), Path("/sys/devices/system/cpu")


def settle(variables: MutableMapping[str, str], *, processes: int = 0) -> None:
    """Say how threads wait, and how many there are where torch would start too many.

    Args:
        variables: the environment of what will import torch.
        processes: how many of them this one is about to start on this machine, each with the variables; 0 = it is one itself.
    """
    if not any(name in variables for name in _SAYS_HOW_TO_WAIT):
        variables.update(WAITING)
    if any(name in variables for name in _SAYS_HOW_MANY):
        return
    mine = own_cores()
    share = share_of(variables, mine, quota_of(), processes=processes)
    if share < mine or processes > 1:  # torchrun would say 1 for several
        variables["OMP_NUM_THREADS"] = str(share)


def share_of(variables: MutableMapping[str, str], mine: int, quota: float | None, *, processes: int = 0) -> int:
    """Threads for one process, at least 1.

    Args:
        variables: the environment, for what torchrun and Slurm say.
        mine: cores that this process may run on.
        quota: cores that its container may keep busy, if that is limited.
        processes: as in `settle`.
    """
    task = _number(variables, "SLURM_CPUS_PER_TASK")
    limit = min(mine, quota or mine, task or mine)
    return max(1, int(limit / (processes or _sharers(variables, mine))))


def _sharers(variables: MutableMapping[str, str], mine: int) -> int:
    """Processes of this run that share the same cores."""
    if local := _number(variables, "LOCAL_WORLD_SIZE"):
        return local
    tasks = re.match(r"\d+", variables.get("SLURM_STEP_TASKS_PER_NODE", ""))
    if tasks is None or "SLURM_CPUS_PER_TASK" in variables or mine < (_number(variables, "SLURM_CPUS_ON_NODE") or 0):
        return 1  # alone, or Slurm gave each task its own
    return max(1, int(tasks[0]))


def _number(variables: MutableMapping[str, str], name: str) -> int | None:
    """A whole number above 0; None where there is none, for a wrong one is others' to refuse."""
    text = variables.get(name, "")
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) and int(text) else None


def own_cores(topology: Path = _TOPOLOGY) -> int:
    """Cores that this process may run on. Two hardware threads of a core count once: they share what computes."""
    return len(cores_of(topology))


def cores_of(topology: Path = _TOPOLOGY) -> list[tuple[int, ...]]:
    """The same cores, each as the numbers of its hardware threads that this process may run on."""
    numbers = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    found: dict[tuple[str, ...], list[int]] = {}
    for number in numbers:
        found.setdefault(_core_of(topology / f"cpu{number}" / "topology", number), []).append(number)
    return [tuple(core) for core in found.values()]


def _core_of(folder: Path, number: int) -> tuple[str, ...]:
    try:
        return tuple((folder / name).read_text(encoding="ascii").strip() for name in ("physical_package_id", "core_id"))
    except OSError:
        return ("", str(number))


def quota_of(cgroups: Path = _CGROUPS, membership: Path = MEMBERSHIP) -> float | None:
    """Cores that this process's cgroup, of version 2 or 1, and those around it may keep busy; None without a limit."""
    return min(_quotas(cgroups, membership), default=None)


def _quotas(cgroups: Path, membership: Path) -> Iterator[float]:
    for root, path in _own_groups(cgroups, membership):
        for group in (path, *path.parents):
            yield from _quota(root / group)


def _own_groups(cgroups: Path, membership: Path) -> Iterator[tuple[Path, Path]]:
    """Where the hierarchies with a CPU controller are mounted, and where in them this process is."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = ["0::/"]
    for line in lines:
        number, controllers, path = line.split(":", 2)
        relative = Path(path.lstrip("/"))
        if number == "0":
            yield cgroups, relative
        elif "cpu" in controllers.split(","):
            yield cgroups / controllers, relative
            yield cgroups / "cpu", relative


def _quota(group: Path) -> Iterator[float]:
    """The limit that a cgroup itself sets, if any."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text(encoding="ascii").strip() for name in ("quota", "period"))
        if quota not in ("max", "-1"):
            yield int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return  # no such group, or nothing that we know how to read
