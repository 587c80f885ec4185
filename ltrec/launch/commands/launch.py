"""`ltrec launch local|slurm CONF.yaml... key=value...`: torchrun on this machine, or a Slurm job that requeues itself."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ltrec.config.load import load, split_arguments
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError, nearest
from ltrec.launch import slurm
from ltrec.launch.cores import settle
from ltrec.launch.local import FRESH_STORE, torchrun
from ltrec.launch.slurm_array import members, seeds_of
from ltrec.launch.slurm_job import Job
from ltrec.launch.slurm_script import read_script

_SLURM = "Slurm"


def launch(
    ctx: typer.Context,
    where: Annotated[str, typer.Argument(help="local or slurm", show_default=False)],
    conf: Annotated[list[str], typer.Argument(help="Config files, left to right, then key=value words.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be started and stop.")] = False,
    processes: Annotated[int, typer.Option(help="Processes on each node; 0 = one per GPU, or one.")] = 0,
    max_restarts: Annotated[int, typer.Option(help="Restarts of crashed processes inside the job (torchrun).")] = 0,
    profile: Annotated[int, typer.Option(min=0, help="Record so many steps as a trace in the run folder.")] = 0,
    nodes: Annotated[str, typer.Option(help="Nodes, or a range: 1-4.", rich_help_panel=_SLURM)] = "1",
    gpus_per_node: Annotated[int, typer.Option(help="GPUs of each node; 0 = CPU only.", rich_help_panel=_SLURM)] = 1,
    cpus: Annotated[int, typer.Option(help="Cores of each process.", rich_help_panel=_SLURM)] = 4,
    time: Annotated[str, typer.Option(help="Limit of one attempt.", rich_help_panel=_SLURM)] = "04:00:00",
    notice: Annotated[int, typer.Option(help="Seconds before the limit to save and requeue.", rich_help_panel=_SLURM)] = 120,
    partition: Annotated[str, typer.Option(help="Partition.", rich_help_panel=_SLURM)] = "",
    account: Annotated[str, typer.Option(help="Account.", rich_help_panel=_SLURM)] = "",
    sbatch: Annotated[list[str], typer.Option(help="More of sbatch: qos=high.", rich_help_panel=_SLURM)] = [],  # noqa: B006
    after: Annotated[str, typer.Option(help="Job that must end well first: 1234.", rich_help_panel=_SLURM)] = "",
    array_seeds: Annotated[str, typer.Option(help="A run for each seed: 0-2.", rich_help_panel=_SLURM)] = "",
    sweep: Annotated[list[str], typer.Option(help="A run for each file.", rich_help_panel=_SLURM)] = [],  # noqa: B006
    container: Annotated[str, typer.Option(help="Image: x.sif (Apptainer) or Pyxis.", rich_help_panel=_SLURM)] = "",
    python: Annotated[bool, typer.Option("--python", help="srun python, without torchrun.", rich_help_panel=_SLURM)] = False,
    script: Annotated[Path | None, typer.Option(help="Your version of train.sbatch.", rich_help_panel=_SLURM)] = None,
) -> None:
    """Start training here under torchrun, or as a Slurm job that saves, requeues and resumes when its time is over."""
    files, words = split_arguments(conf)
    if where == "local":
        _refuse_slurm_options(ctx)
        load(files, words)  # so that a mistake is told once, not by every process
        here = max(1, processes)
        _start(torchrun(conf, processes=here, max_restarts=max_restarts, profile=profile), processes=here, dry_run=dry_run)
        return
    if where != "slurm":
        raise UserError(f"ltrec launch {where}: it must be local or slurm{nearest(where, ('local', 'slurm'))}")
    job = Job(
        nodes=nodes,
        gpus_per_node=gpus_per_node,
        processes_per_node=processes,
        cpus_per_process=cpus,
        time=time,
        notice=notice,
        partition=partition,
        account=account,
        after=after,
        extra=tuple(sbatch),
        form="python" if python else "torchrun",
        container=container,
        max_restarts=max_restarts,
        profile=profile,
    )
    runs = members(files, words, sweep, seeds_of(array_seeds) if array_seeds else [])
    _submit(read_script(script), job, runs, name=load(files, words).name, dry_run=dry_run)


def _refuse_slurm_options(ctx: typer.Context) -> None:
    """What only Slurm heeds must not look heeded here: `launch local --array-seeds 0-2` would train one seed."""
    for option in ctx.command.params:
        source = ctx.get_parameter_source(option.name or "")
        if getattr(option, "rich_help_panel", None) == _SLURM and source is not None and source.name == "COMMANDLINE":
            raise UserError(f"{option.opts[0]} is for ltrec launch slurm; ltrec launch local trains one run on this machine")


def _submit(text: str, job: Job, runs: Sequence[RunConfig], *, name: str, dry_run: bool) -> None:
    """Show the job, or write and submit it: its number, alone, is what goes to stdout."""
    if dry_run:
        typer.echo(slurm.script_of(text, job, runs, name=name), nl=False)
        return
    written = slurm.prepare(text, job, runs, name=name)
    number = slurm.submit(written)
    typer.echo(f"submitted {written}: {len(runs)} run(s), log in {written.with_name(slurm.LOG)}; its job id", err=True)
    typer.echo(number)


def _start(words: list[str], *, processes: int, dry_run: bool) -> None:
    """Become the command: signals and the exit code are then its own."""
    if dry_run:
        typer.echo(shlex.join(words))
        return
    sys.stdout.flush()
    os.environ.update(FRESH_STORE)
    settle(os.environ, processes=processes)
    os.execv(words[0], words)
