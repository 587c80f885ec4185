"""`ltrec doctor`: what this machine can run; under torchrun, what these machines can run together.

With `--json`: findings: [{verdict, name, says, remedy, machine}], verdict.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ltrec.cli.options import AsJson
from ltrec.core.extension.deferred import Deferred
from ltrec.run.process.detect import detect
from ltrec.terminal.screen import open_screen

if TYPE_CHECKING:
    from ltrec.doctor.checks import examine_all, exit_code, show, verdict
else:
    examine_all, exit_code, show, verdict = (
        Deferred(f"ltrec.doctor.checks:{name}") for name in ("examine_all", "exit_code", "show", "verdict")
    )


def doctor(
    out: Annotated[Path, typer.Option(help="Folder where runs will be written.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Check Python, torch, GPUs, network, Slurm, W&B, disk and memory, and say what to fix. Exit code 1: something is broken.

    Under torchrun the processes of all machines connect, and the bandwidth of their all-reduce is measured.
    """
    processes = detect()
    findings = examine_all(processes, out)
    if processes.world.rank:
        return
    with open_screen(for_scripts=as_json) as screen:
        show(findings, screen.lines)
        screen.print_json({"findings": [asdict(finding) for finding in findings], "verdict": verdict(findings)})
    if code := exit_code(findings):
        raise typer.Exit(code)
