"""How many threads torch may use, and how they wait: environment variables, set before torch is imported.

OpenMP threads wait for each other by spinning for milliseconds. That is fine on cores of their own and ruinous beside another busy
process. Here they spin for some tens of microseconds, about the time between two operations of a small model, and then sleep
(`benchmarks/threads.py`; figures in benchmarks/LOG.md).

torch starts one thread per core unless that is too many: it does not know of a container's CPU quota, of Slurm's --cpus-per-task
without binding, or of other processes of the same run on this machine. Variables that the user has set are left alone; torchrun
sets OMP_NUM_THREADS=1 for several processes unless it is set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path

WAIT_SETTINGS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "3000"}
"""libgomp, in the wheels of torch, reads the second; other OpenMP runtimes read the first."""

_WAIT_VARIABLES = (*WAIT_SETTINGS, "KMP_BLOCKTIME")
_COUNT_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
MEMBERSHIP = Path("/proc/self/cgroup")
_CGROUPS, _TOPOLOGY = Path("/sys/fs/cgroup"), Path("/sys/devices/system/cpu")


def set_thread_variables(variables: MutableMapping[str, str], *, processes: int = 0) -> None:
    """Set how threads wait, and their number where torch would start too many.

    Args:
        variables: environment of a process that will import torch.
        processes: number of such processes that will be started on this machine; 0 = it is this process itself.
    """
    if not any(name in variables for name in _WAIT_VARIABLES):
        variables.update(WAIT_SETTINGS)
    if any(name in variables for name in _COUNT_VARIABLES):
        return
    usable = num_cores()
    share = threads_per_process(variables, usable, quota_of(), processes=processes)
    if share < usable or processes > 1:  # torchrun would set 1 for several
        variables["OMP_NUM_THREADS"] = str(share)


def threads_per_process(variables: MutableMapping[str, str], usable: int, quota: float | None, *, processes: int = 0) -> int:
    """Threads for one process, at least 1.

    Args:
        variables: the environment, with the variables of torchrun and Slurm.
        usable: cores that this process may run on.
        quota: cores that its container may keep busy; None without a limit.
        processes: as in `set_thread_variables`.
    """
    task = _number(variables, "SLURM_CPUS_PER_TASK")
    limit = min(usable, quota or usable, task or usable)
    return max(1, int(limit / (processes or _processes_on_machine(variables, usable))))


def _processes_on_machine(variables: MutableMapping[str, str], usable: int) -> int:
    """Processes of this run that share the same cores."""
    if local := _number(variables, "LOCAL_WORLD_SIZE"):
        return local
    tasks = re.match(r"\d+", variables.get("SLURM_STEP_TASKS_PER_NODE", ""))
    if tasks is None or "SLURM_CPUS_PER_TASK" in variables or usable < (_number(variables, "SLURM_CPUS_ON_NODE") or 0):
        return 1  # alone, or Slurm gave each task its own
    return max(1, int(tasks[0]))


def _number(variables: MutableMapping[str, str], name: str) -> int | None:
    """A positive integer; None if it is missing or wrong (`rendezvous_env` refuses wrong ones)."""
    text = variables.get(name, "")
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) and int(text) else None


def num_cores(topology: Path = _TOPOLOGY) -> int:
    """Number of cores that this process may run on. Hardware threads of one core count once."""
    return len(cores_of(topology))


def cores_of(topology: Path = _TOPOLOGY) -> list[tuple[int, ...]]:
    """The cores that this process may run on, each as the numbers of its hardware threads."""
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
    """CPU quota, in cores, of this process's cgroup (version 2 or 1) and its parents; None without a limit."""
    return min(_quotas(cgroups, membership), default=None)


def _quotas(cgroups: Path, membership: Path) -> Iterator[float]:
    for root, path in _own_groups(cgroups, membership):
        for group in (path, *path.parents):
            yield from _quota(root / group)


def _own_groups(cgroups: Path, membership: Path) -> Iterator[tuple[Path, Path]]:
    """(mount point, path of this process) of each hierarchy with a CPU controller."""
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
    """The limit of one cgroup, if any."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text(encoding="ascii").strip() for name in ("quota", "period"))
        if quota not in ("max", "-1"):
            yield int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return  # no such group, or an unknown format
