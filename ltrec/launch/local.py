"""`ltrec launch local`: replace this process by torchrun for one run, or supervise several runs."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Sequence

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from ltrec.config.tree import RunConfig
from ltrec.core.counting import counted
from ltrec.launch.local_jobs import DONE, Outcome, Task, record_signals, run_all
from ltrec.launch.processor_shares import Share, shares
from ltrec.launch.torchrun import FRESH_STORE, single_process, torchrun
from ltrec.run.folder.config_file import folder_of
from ltrec.run.folder.find_run import find_run
from ltrec.run.folder.launch_snapshot import save_snapshots
from ltrec.run.process.cores import set_thread_variables
from ltrec.terminal.progress_text import duration
from ltrec.terminal.screen import note, open_screen


def launch_one(run: RunConfig, arguments: Sequence[str], *, processes: int, max_restarts: int, profile: int, dry_run: bool) -> None:
    """Train a run under torchrun, by exec, so that signals and the exit code are those of torchrun.

    Raises:
        UserError: there are too few GPUs, or the run cannot be trained by this number of processes.
    """
    [share] = shares([run], processes=processes, jobs=1)
    note(share.describe(run))
    command = torchrun(arguments, processes=share.processes_of(run), max_restarts=max_restarts, profile=profile)
    if dry_run:
        typer.echo(shlex.join(command))
        return
    sys.stdout.flush()
    os.environ.update(FRESH_STORE)
    set_thread_variables(os.environ, processes=share.processes_of(run))
    os.execv(command[0], command)


def launch_several(runs: Sequence[RunConfig], *, jobs: int, processes: int, max_restarts: int, profile: int, dry_run: bool) -> None:
    """Train several runs, `jobs` at a time, and print how each ended.

    Raises:
        UserError: a folder holds another run, or the machine cannot be divided among so many jobs.
        typer.Exit: code 1 when a run failed, 143 after SIGTERM.
        KeyboardInterrupt: after Ctrl-C.
    """
    parts = shares(runs, processes=processes, jobs=min(jobs, len(runs)))
    if dry_run:
        for number, run in enumerate(runs):
            find_run(run)
            share = parts[number % len(parts)]
            note(f"{run.name}: {share.describe(run)}")
            typer.echo(shlex.join(_command(run, share, max_restarts, profile)))
        note(f"{counted(len(runs), 'run')}, {len(parts)} at a time; config and log of each are written to its run folder")
        return
    code = save_snapshots(runs)
    tasks = [
        Task(run, lambda share, run=run: _command(run, share, max_restarts, profile), _code_variables(run, code))  # type: ignore[misc]
        for run in runs
    ]
    with record_signals() as received:
        outcomes = run_all(tasks, parts, received, note)
    _show(outcomes)
    if received.signals and received.signals[0] == signal.SIGINT:
        raise KeyboardInterrupt
    if received.signals:
        raise typer.Exit(128 + received.signals[0])
    if any(outcome.state != DONE for outcome in outcomes):
        raise typer.Exit(1)


def _command(run: RunConfig, share: Share, max_restarts: int, profile: int) -> list[str]:
    arguments, processes = [str(folder_of(run).config)], share.processes_of(run)
    if processes == 1 and not max_restarts:
        return single_process(arguments, profile=profile)
    return torchrun(arguments, processes=processes, max_restarts=max_restarts, profile=profile)


def _code_variables(run: RunConfig, code: str) -> dict[str, str]:
    """Variables that put a run's own copy of the package first on the path of Python, also before the working folder."""
    if not code:
        return {}
    before = os.environ.get("PYTHONPATH", "")
    return {
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join([str((folder_of(run).path / code).absolute()), *filter(None, [before])]),
    }


def _show(outcomes: Sequence[Outcome]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("run", overflow="fold")
    table.add_column("state", overflow="fold")
    table.add_column("time", justify="right")
    for outcome in outcomes:
        colour = "green" if outcome.state == DONE else "red" if outcome.state.startswith(("failed", "killed")) else "yellow"
        table.add_row(outcome.task.run.name, Text(outcome.state, colour), duration(outcome.seconds, digits=0))
    done = [outcome.task.folder.path for outcome in outcomes if outcome.state == DONE]
    with open_screen() as screen:
        screen.show(table)
        screen.say(f"{len(done)} of {counted(len(outcomes), 'run')} done")
        if done:
            screen.say(f"next: ltrec evaluate {shlex.join(map(str, done))}")
