"""`ltrec export RUN`: the run as one folder that runs without ltrec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import ltrec
from ltrec.cli.options import AsJson, Checkpoint, Data, EvaluationOverrides, OneRun, Weights
from ltrec.terminal.screen import open_screen


def export(
    run: OneRun,
    settings: EvaluationOverrides = None,
    form: Annotated[str, typer.Option("--format", help="Of the program: torch (torch.export), or onnx (onnxruntime).")] = "torch",
    out: Annotated[Path | None, typer.Option(help="Folder to write; default RUN/export/FORMAT.")] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Items of a list, at most.")] = 100,
    table: Annotated[
        str, typer.Option(help="Precision of the item vectors in the file: fp32, fp16, or int8; what it costs is measured.")
    ] = "fp32",
    max_loss: Annotated[
        float | None, typer.Option(help="Write nothing if a group of users loses more than this share of its NDCG@10 by --table.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an exported model.")] = False,
    checkpoint: Checkpoint = "best",
    data: Data = None,
    weights: Weights = None,
    as_json: AsJson = False,
) -> None:
    """Write the run as a folder: program, item vectors, vocabularies, model card, and a script that needs no ltrec."""
    with open_screen(for_scripts=as_json) as screen:
        found = ltrec.export(
            run,
            *(settings or []),
            format=form,
            out=out,
            k=k,
            table=table,
            max_loss=max_loss,
            overwrite=overwrite,
            checkpoint=checkpoint,
            data=data,
            weights=weights,
        )
        same = found.parity
        screen.say(f"{found.checkpoint.name} exported: {found.path}")
        screen.say(f"against the run on {same.histories:,} real histories: scores differ by at most {same.largest:.2g}")
        for line in found.loss.lines() if found.loss else ():
            screen.say(f"{table}: {line}")
        screen.print_json(found.to_dict())
