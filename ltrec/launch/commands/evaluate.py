"""`ltrec evaluate RUN...`: metrics by stratum with intervals; `--compare` another run, or several seeds of it, through the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.files import atomic_write_text, canonical_json, sha256_file
from ltrec.data.manifest import Manifest
from ltrec.evaluation.compare import compare as compare_tables
from ltrec.evaluation.gate import gate
from ltrec.evaluation.pairing import pair
from ltrec.evaluation.summary import summarise
from ltrec.evaluation.table import EvalTable
from ltrec.evaluation.trained import KEY
from ltrec.launch.agreement import code, settings
from ltrec.launch.console import new_console
from ltrec.launch.crash import traceback_in
from ltrec.launch.evaluating import evaluate_run
from ltrec.launch.guests import say
from ltrec.launch.meeting import meet
from ltrec.launch.processes import Processes, detect, process_group
from ltrec.launch.run_folder import RunFolder
from ltrec.launch.tables import print_comparison, print_gate, print_summaries, print_training
from ltrec.launch.travelling import reopen, split_runs
from ltrec.stages.checkpoint_io import whole_file

_MEETING_SECONDS = 600.0
"""How long to wait for the other processes."""


def evaluate(
    runs: Annotated[
        list[str],
        typer.Argument(help="Run folders; several = seeds of one method. Then evaluation.key=value words.", show_default=False),
    ],
    compare: Annotated[
        list[Path] | None, typer.Option(help="Baseline run folder to compare with; repeat it for several seeds, in the same order.")
    ] = None,
    split: Annotated[str, typer.Option(help="test or valid.")] = "test",
    checkpoint: Annotated[str, typer.Option(help="best, last, previous, or stage1: the best before plugins woke.")] = "best",
    data: Annotated[Path | None, typer.Option(help="Where the data set lies now; default: where the run says.")] = None,
) -> None:
    """Rank every user's target, report by activity stratum, and compare runs under the gate."""
    if split not in ("test", "valid"):
        raise UserError(f"--split {split}: it must be test or valid")
    processes = detect()
    ours, words = split_runs(runs)
    meeting = meet(processes, _MEETING_SECONDS, say=say)  # kept to the end, for the process group goes on using its store
    with meeting.together() as held:
        configs = {folder: reopen(RunFolder(folder), words, data) for folder in [*ours, *(compare or [])]}
        held |= _held(configs, checkpoint) if processes.world.size > 1 else {}
    with process_group(processes):
        tables = {folder: _evaluated(folder, config, split, checkpoint, processes) for folder, config in configs.items()}
    if processes.world.rank == 0:
        console = new_console()
        for folder in ours:
            _show(RunFolder(folder), configs[folder], split, tables[folder], console)
        if compare:
            _show_comparison(ours, compare, configs[ours[0]], split, tables, console)


def _held(configs: dict[Path, RunConfig], checkpoint: str) -> dict[str, str]:
    """What every process must read alike, lest one table be ranked with two models."""
    held = code()
    for folder, config in configs.items():
        held |= {f"{key} of {folder}": value for key, value in settings(config).items()}
        held[f"the data set's digest of {folder}"] = Manifest.load(Path(config.data.path)).digest[:12]
        held[f"the checkpoint's digest of {folder}"] = sha256_file(whole_file(RunFolder(folder).checkpoint(checkpoint)))[:12]
    return held


def _show(run: RunFolder, config: RunConfig, split: str, tables: dict[str, EvalTable], console: Console) -> None:
    """Print a run's metrics and leave them as JSON beside the tables."""
    summaries = {name: summarise(table, config.evaluation) for name, table in tables.items()}
    body = {name: {**summary.to_json(), **_moment(tables[name])} for name, summary in summaries.items()}
    atomic_write_text(run.eval / f"{split}.json", canonical_json(body))
    print_summaries(summaries, console)
    print_training(next(iter(tables.values())), console)
    console.print(f"results: {run.eval}", highlight=False, markup=False, soft_wrap=True)


def _moment(table: EvalTable) -> dict[str, Any]:
    """Which checkpoint was ranked, as JSON; nothing for a baseline."""
    return {key: table.source[key] for key in ("asked", "checkpoint", KEY)} if KEY in table.source else {}


def _show_comparison(
    runs: list[Path],
    rivals: list[Path],
    config: RunConfig,
    split: str,
    tables: dict[Path, dict[str, EvalTable]],
    console: Console,
) -> None:
    """Print the paired differences and the gate's verdict, and leave them as JSON in the first run's folder."""
    ours, theirs = ([next(iter(tables[folder].values())) for folder in side] for side in (runs, rivals))
    run = RunFolder(runs[0])
    found = compare_tables(base=theirs, other=ours, config=config.evaluation)
    print_comparison(found, console)  # before the gate, which refuses groups too small to judge
    verdict = gate({config.data.path: pair(base=theirs, other=ours)}, config.evaluation)
    print_gate(verdict, console)
    path = run.eval / f"{split}-against-{rivals[0].name}.json"
    atomic_write_text(path, canonical_json({"comparison": found.to_json(), "gate": verdict.to_json()}))


def _evaluated(folder: Path, config: RunConfig, split: str, checkpoint: str, processes: Processes) -> dict[str, EvalTable]:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    console = new_console(stderr=True)
    quiet = processes.world.rank > 0 or not console.is_terminal
    with traceback_in(folder), Progress(*columns, console=console, transient=True, disable=quiet) as progress:

        def on_progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(f"{folder.name}: {what}", total=total)
            progress.update(tasks[what], completed=done)

        files = evaluate_run(RunFolder(folder), split, checkpoint, processes, on_progress, config)
    return {name: EvalTable.read(path) for name, path in files.items()} if processes.world.rank == 0 else {}
