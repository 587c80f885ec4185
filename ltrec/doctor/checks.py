"""`ltrec doctor`: what this machine can run, one line per check, and what to do about each problem.

    ok        as it should be
    warning   training runs, but slower, or without something that a user may want
    broken    training, or a part of it that is installed here, would fail

Under torchrun (or srun) every process takes part: one process per machine runs the checks, all of them measure the all-reduce, and
rank 0 prints. Of the other machines only warnings and errors are listed.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ltrec.distributed.collectives import all_gather_parts
from ltrec.doctor.finding import BROKEN, OK, WARNING, Finding
from ltrec.doctor.machine import cores, disk, memory
from ltrec.doctor.ring import process_group
from ltrec.doctor.software import cuda, deepspeed, extras, gloo, nccl, python, slurm, torch_build, wandb
from ltrec.run.process.rendezvous_env import Processes

CHECKS: dict[str, Callable[[], Finding]] = {
    "Python": python,
    "torch": torch_build,
    "CUDA": cuda,
    "NCCL": nccl,
    "gloo": gloo,
    "extras": extras,
    "DeepSpeed": deepspeed,
    "Slurm": slurm,
    "W&B": wandb,
    "memory": memory,
    "cores": cores,
}
"""The checks of every machine, in this order. That of the disk comes last: it takes a folder."""

_STYLES = {OK: "green", WARNING: "yellow", BROKEN: "red"}


def examine(folder: Path) -> Iterator[Finding]:
    """Run all checks on this machine.

    Args:
        folder: where runs will be written.
    """
    for name, check in CHECKS.items():
        yield check().named(name)
    yield disk(folder).named("disk")


def examine_all(processes: Processes, folder: Path) -> list[Finding]:
    """All findings of the first machine and the problems of the others, on rank 0; elsewhere none. Every process calls this.

    Args:
        processes: this process and how many there are.
        folder: where runs will be written.
    """
    if processes.world.size == 1:
        return list(examine(folder))
    first_of_machine = processes.local_rank == 0
    with process_group(processes) as (ring, joined):
        if not joined:  # no collectives: rank 0 reports its own machine
            return [*examine(folder), *ring] if processes.world.rank == 0 else []
        gathered = all_gather_parts([f.on(platform.node()) for f in examine(folder)] if first_of_machine else [])
        first, *others = [findings for findings in gathered if findings]
    problems = [finding for findings in others for finding in findings if finding.verdict != OK]
    return [*first, *problems, *ring] if processes.world.rank == 0 else []


def exit_code(findings: list[Finding]) -> int:
    """1 when something is broken."""
    return int(any(finding.verdict == BROKEN for finding in findings))


def verdict(findings: list[Finding]) -> str:
    """The last line: whether this machine can train, and what must be fixed if not."""
    broken, warnings = ([f.name for f in findings if f.verdict == kind] for kind in (BROKEN, WARNING))
    if broken:
        return f"not ready: {', '.join(broken)} must be fixed first"
    return f"ready, with {len(warnings)} warning(s): {', '.join(warnings)}" if warnings else "ready: no problems found"


def show(findings: list[Finding], console: Console) -> None:
    """Print one row per finding with its remedy below, then the verdict."""
    table = Table(box=None, show_header=False, pad_edge=False)
    several = len({finding.machine for finding in findings}) > 1
    for column in range(3 + several):
        table.add_column(no_wrap=column < 2 + several, overflow="fold")
    for finding in findings:
        says = Text(finding.says + (f"\n-> {finding.remedy}" if finding.remedy else ""))
        where = [Text(finding.machine, style="dim")] if several else []
        table.add_row(Text(finding.verdict, style=_STYLES[finding.verdict]), *where, Text(finding.name), says)
    console.print(table)
    console.print(Text(verdict(findings), style=_STYLES[max((f.verdict for f in findings), key=[OK, WARNING, BROKEN].index)]))
