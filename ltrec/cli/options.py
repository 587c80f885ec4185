"""Arguments and options that several commands have: one owner of their names and help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Conf = Annotated[list[str], typer.Argument(help="Config files, left to right, then key=value overrides.", show_default=False)]
OneRun = Annotated[Path, typer.Argument(help="Run folder.", show_default=False)]
EvaluationOverrides = Annotated[list[str] | None, typer.Argument(help="evaluation.key=value overrides.", show_default=False)]
PreparedData = Annotated[str, typer.Argument(help="Folder that ltrec prepare wrote, or its address (s3://...).")]

AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON on stdout, all else on stderr.")]
Profile = Annotated[
    int, typer.Option("--profile", min=0, help="Record a trace of this many steps, after the first few, in the run folder.")
]

Checkpoint = Annotated[str, typer.Option("--checkpoint", help="best, last, previous, or stage1: the best before stage 2.")]
Data = Annotated[str | None, typer.Option("--data", help="Folder or address of the data set; default: as in the run's config.")]
Weights = Annotated[str | None, typer.Option("--weights", help="average (with trainer.ema, the default) or raw.")]
