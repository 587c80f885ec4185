"""How GPUs and cores are divided among jobs: one process per GPU, and disjoint shares for jobs that run at the same time.

8 GPUs, one job            8 processes
8 GPUs, --jobs 4           4 jobs of 2 processes, each with its own GPUs
no GPU, or accelerator=cpu 1 process; with --jobs 4 each has a quarter of the CPUs
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from ltrec.config.tree import RunConfig
from ltrec.core.counting import counted
from ltrec.core.errors import UserError
from ltrec.launch.process_count import check_processes
from ltrec.run.preflight import accelerator_of
from ltrec.run.process.cores import cores_of, quota_of, set_thread_variables

DEVICES = "CUDA_VISIBLE_DEVICES"

_Unit = TypeVar("_Unit", str, tuple[int, ...])


@dataclass(frozen=True, slots=True)
class Share:
    """GPUs and cores of one job.

    Attributes:
        gpus: as CUDA_VISIBLE_DEVICES names them; empty = none.
        cores: each as the numbers of its hardware threads; empty = all that this process may use, shared with other jobs.
        processes: per run; 0 = one per GPU, and one where the run uses none.
        jobs: number of jobs at a time.
    """

    gpus: tuple[str, ...] = ()
    cores: tuple[tuple[int, ...], ...] = ()
    processes: int = 0
    jobs: int = 1

    @property
    def cpus(self) -> list[int]:
        """CPUs that a job may be scheduled on; empty = any."""
        return sorted(number for core in self.cores for number in core)

    def processes_of(self, run: RunConfig) -> int:
        """How many processes train a run here."""
        return self.processes or (len(self.gpus) if self._uses_gpus(run) else 1)

    def describe(self, run: RunConfig) -> str:
        """The share in words, for the screen."""
        number = self.processes_of(run)
        lead = f"{number} {'process' if number == 1 else 'processes'}"
        if self._uses_gpus(run):
            used = self.gpus[:number]
            return f"{lead}, one for each GPU ({', '.join(used)})" if number > 1 else f"{lead} on GPU {used[0]}"
        why = " (trainer.accelerator=cpu)" if run.trainer.accelerator == "cpu" else ""
        return f"{lead} on {f'CPU {ranges(self.cpus)}' if self.cores else 'the CPU'}{why}"

    def variables(self, run: RunConfig, variables: Mapping[str, str]) -> dict[str, str]:
        """The environment that limits a job to its share: its GPUs, and its threads unless the user has set their number."""
        found = dict(variables)
        set_thread_variables(found, processes=self.processes_of(run) * self.jobs)
        return found | ({DEVICES: ",".join(self.gpus[: self.processes_of(run)])} if self._uses_gpus(run) else {})

    def _uses_gpus(self, run: RunConfig) -> bool:
        return bool(self.gpus) and run.trainer.accelerator != "cpu"


def visible_gpus() -> tuple[str, ...]:
    """GPUs that torch sees, as CUDA_VISIBLE_DEVICES names them: numbers, or UUIDs of GPUs and MIG slices."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = os.environ.get(DEVICES)
    return tuple(str(number) for number in range(count)) if named is None else tuple(named.replace(" ", "").split(",")[:count])


def usable_cores() -> tuple[tuple[int, ...], ...]:
    """Cores that this process may run on, limited by its CPU quota."""
    cores, quota = cores_of(), quota_of()
    return tuple(cores if quota is None else cores[: max(1, int(quota))])


def shares(runs: Sequence[RunConfig], *, processes: int, jobs: int) -> list[Share]:
    """A share for each job that runs at the same time. Shares have no GPU in common, and no core where a run uses no GPU.

    Args:
        runs: what will be trained.
        processes: per run; 0 = one per GPU of its share.
        jobs: runs at the same time.

    Raises:
        UserError: there are too few GPUs or cores, or a run cannot be trained by that number of processes.
    """
    on_gpus = [accelerator_of(run) == "gpu" for run in runs]
    gpus = _divide("GPU", visible_gpus(), jobs, processes) if any(on_gpus) else [()] * jobs
    cores = _divide("core", usable_cores(), jobs, processes) if jobs > 1 and not all(on_gpus) else [()] * jobs
    result = [Share(gpus[job], cores[job], processes, jobs=jobs) for job in range(jobs)]
    for run in runs:
        check_processes(run, result[0].processes_of(run), requested=processes > 0)
        _check_threads(run, result[0])
    return result


def _divide(what: str, available: tuple[_Unit, ...], jobs: int, processes: int) -> list[tuple[_Unit, ...]]:
    """An equal part of the GPUs or cores for each job, at least one per process."""
    needed, total = max(1, processes), len(available)
    each = total // jobs
    if each < needed:
        requested = " and ".join(f"--{name} {n}" for name, n in (("jobs", jobs), ("processes", processes)) if n > (name == "jobs"))
        fitting = f"--jobs {total // needed}" if jobs > 1 and total >= needed else f"--processes {total}"
        raise UserError(
            f"{requested}: that takes {counted(jobs * needed, what)}, none of them shared, and this machine has {total} to use; "
            f"{fitting} would fit"
        )
    return [available[job * each : (job + 1) * each] for job in range(jobs)]


def _check_threads(run: RunConfig, share: Share) -> None:
    """Refuse more threads than the share has cores, which would slow down the other jobs."""
    if not share.cores:
        return
    requested = {"trainer.threads": run.trainer.threads, "OMP_NUM_THREADS": _number(os.environ.get("OMP_NUM_THREADS", ""))}
    for name, threads in requested.items():
        if threads * share.processes_of(run) > len(share.cores):
            raise UserError(
                f"{run.name}: {name}={threads} does not fit: each job has {counted(len(share.cores), 'core')} for "
                f"{share.processes_of(run)} process(es); use fewer threads or fewer --jobs"
            )


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def ranges(numbers: Sequence[int]) -> str:
    """``(0, 1, 2, 5)`` -> ``0-2,5``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
