"""`ltrec report RUN...`: one static HTML page with plots, beside the run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.report import write_report
from ltrec.launch.console import new_console
from ltrec.launch.crash import traceback_in
from ltrec.launch.guests import track_report
from ltrec.launch.run_folder import RunFolder


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders: the first is reported, the others are what it is compared with.", show_default=False),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder to write to; default: RUN/report.", show_default=False)] = None,
) -> None:
    """Write index.html (self-contained) and its figures as PNGs."""
    first = RunFolder(runs[0])
    config = first.read_config().evaluation if first.config.exists() else EvaluationConfig()
    with traceback_in(first.path):
        index = write_report(runs, config, out)
    new_console().print(f"report: {index}", highlight=False, markup=False, soft_wrap=True)
    track_report(first, index.parent)
