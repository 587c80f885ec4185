"""`ltrec report RUN...`: one static HTML page with plots, beside the run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.core.run_folder import RunFolder
from ltrec.data.manifest import Manifest
from ltrec.evaluation.table import EvalTable
from ltrec.reporting.html import write_report
from ltrec.run.build.loggers import track_report
from ltrec.run.folder.reopen import named_data, refuse_settings, split_runs
from ltrec.run.process.crash_file import traceback_in
from ltrec.terminal.screen import speaking


def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Run folders: the first and its seeds are held against the others. Then evaluation.key=value words.",
            show_default=False,
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder to write to; default: RUN/report.", show_default=False)] = None,
    data: Annotated[Path | None, typer.Option(help="A data set that all runs must be of, by its digest.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout, all else on stderr.")] = False,
) -> None:
    """Write index.html (self-contained) and its figures as PNGs."""
    folders, words = split_runs(runs)
    first = RunFolder(folders[0])
    refuse_settings(words)
    if data is not None:
        for folder in folders:
            named_data(RunFolder(folder), data)
            _refuse_other_tables(folder, Manifest.load(data).digest)
    config = load([first.config] if first.is_run() else [], words).evaluation
    with speaking(for_scripts=as_json) as screen:
        with traceback_in(first.path):
            index = write_report(folders, config, out)
        screen.say(f"report: {index}")
        track_report(first, index.parent)
        screen.answer({"report": str(index)})


def _refuse_other_tables(run: Path, digest: str) -> None:
    """Results say themselves on which data they were found, whatever became of provenance."""
    for file in RunFolder(run).eval_tables():
        if (theirs := EvalTable.read(file).protocol.manifest) != digest:
            raise UserError(f"{file} is about another data set (digest {theirs[:12]}) than --data names ({digest[:12]})")
