"""`ltrec doctor`: what this machine can run; under torchrun, what these machines can run together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ltrec.launch.console import new_console
from ltrec.launch.doctor import consult, exit_code, show
from ltrec.launch.processes import detect


def doctor(out: Annotated[Path, typer.Option(help="Where runs are to be written.")] = Path("runs")) -> None:
    """Look at Python, torch, GPUs, network, Slurm, W&B, disk and memory, and say what to do. Exit code 1: something is broken.

    Under torchrun the processes of all machines meet and the bandwidth of their all-reduce is measured.
    """
    processes = detect()
    findings = consult(processes, out)
    if processes.world.rank:
        return
    show(findings, new_console())
    if code := exit_code(findings):
        raise typer.Exit(code)
