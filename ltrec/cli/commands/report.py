"""`ltrec report RUN...`: one static HTML page with plots, in the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import ltrec
from ltrec.cli.options import AsJson
from ltrec.terminal.screen import open_screen


def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Run folders: the first and its seeds are compared with the others. Then evaluation.key=value overrides.",
            show_default=False,
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder to write to; default: RUN/report.", show_default=False)] = None,
    data: Annotated[Path | None, typer.Option(help="Data set that all runs must have been trained on, by its digest.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write index.html (self-contained) and its figures as PNGs."""
    with open_screen(for_scripts=as_json) as screen:
        written = ltrec.report(*runs, out=out, data=data)
        screen.say(f"report: {written.path}")
        screen.print_json(written.to_dict())
