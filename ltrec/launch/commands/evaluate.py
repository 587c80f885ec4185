"""`ltrec evaluate RUN...`: metrics by stratum with intervals; `--compare` another run, or several seeds of it, through the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ltrec.core.errors import UserError
from ltrec.evaluation.compare import compare as compare_tables
from ltrec.evaluation.gate import gate
from ltrec.evaluation.pairing import pair
from ltrec.evaluation.summary import summarise
from ltrec.evaluation.table import EvalTable
from ltrec.launch.evaluating import evaluate_run
from ltrec.launch.processes import Processes, detect, process_group
from ltrec.launch.run_folder import RunFolder
from ltrec.launch.tables import print_comparison, print_gate, print_summaries


def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; several = seeds of one method.", show_default=False)],
    compare: Annotated[
        list[Path] | None, typer.Option(help="Baseline run folder to compare with; repeat it for several seeds, in the same order.")
    ] = None,
    split: Annotated[str, typer.Option(help="test or valid.")] = "test",
    checkpoint: Annotated[str, typer.Option(help="best or last.")] = "best",
) -> None:
    """Rank every user's target, report by activity stratum, and compare runs under the gate."""
    if split not in ("test", "valid"):
        raise UserError(f"--split {split}: it must be test or valid")
    processes = detect()
    with process_group(processes):
        tables = {folder: _evaluated(folder, split, checkpoint, processes) for folder in [*runs, *(compare or [])]}
    if processes.world.rank == 0:
        _show(runs, compare or [], tables, Console())


def _show(runs: list[Path], rivals: list[Path], tables: dict[Path, dict[str, EvalTable]], console: Console) -> None:
    for folder in runs:
        config = RunFolder(folder).read_config().evaluation
        print_summaries({name: summarise(table, config) for name, table in tables[folder].items()}, console)
        console.print(f"results: {RunFolder(folder).eval}", highlight=False, markup=False, soft_wrap=True)
    if rivals:
        ours, theirs = ([next(iter(tables[folder].values())) for folder in side] for side in (runs, rivals))
        config = RunFolder(runs[0]).read_config().evaluation
        print_comparison(compare_tables(base=theirs, other=ours, config=config), console)
        print_gate(gate({RunFolder(runs[0]).read_config().data.path: pair(base=theirs, other=ours)}, config), console)


def _evaluated(folder: Path, split: str, checkpoint: str, processes: Processes) -> dict[str, EvalTable]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    console = Console(stderr=True)
    quiet = processes.world.rank > 0 or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:

        def on_progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(f"{folder.name}: {what}", total=total)
            progress.update(tasks[what], completed=done)

        files = evaluate_run(RunFolder(folder), split, checkpoint, processes, on_progress)
    return {name: EvalTable.read(path) for name, path in files.items()} if processes.world.rank == 0 else {}
