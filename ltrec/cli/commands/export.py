"""`ltrec export RUN`: the run as one folder that runs without ltrec."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

import ltrec
from ltrec.cli.options import AsJson, Checkpoint, Data, EvaluationOverrides, OneRun, Weights
from ltrec.core.counting import counted
from ltrec.terminal.screen import open_screen

Table = Annotated[
    str, typer.Option(help="Precision of the item vectors in the file: fp32, fp16, or int8; what it costs is measured.")
]
MaxLoss = Annotated[
    float | None, typer.Option(help="Write nothing if a group of users loses more than this share of its NDCG@10 by --table.")
]
Items = Annotated[
    Path | None, typer.Option(help="Parquet with items that the data set does not know, and their columns: they are appended.")
]


def export(
    run: OneRun,
    settings: EvaluationOverrides = None,
    form: Annotated[str, typer.Option("--format", help="Of the program: torch (torch.export), or onnx (onnxruntime).")] = "torch",
    out: Annotated[str | None, typer.Option(help="Folder or address (s3://...) to write; default RUN/export/FORMAT.")] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Items of a list, at most.")] = 100,
    table: Table = "fp32",
    max_loss: MaxLoss = None,
    items: Items = None,
    hub: Annotated[bool, typer.Option("--hub", help="Write the layout of Hugging Face's hub; nothing is uploaded.")] = False,
    license: Annotated[str | None, typer.Option(help="Of the model, for its card, such as apache-2.0.")] = None,
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
            items=items,
            hub=hub,
            license=license,
            overwrite=overwrite,
            checkpoint=checkpoint,
            data=data,
            weights=weights,
        )
        for line in _told(found):
            screen.say(line)
        screen.print_json(found.to_dict())


def _told(found: ltrec.Exported) -> Iterator[str]:
    """What a person is told."""
    yield f"{found.checkpoint.name} exported: {found.path}"
    yield f"against the run on {found.parity.histories:,} real histories: scores differ by at most {found.parity.largest:.2g}"
    if found.appended:
        yield f"{counted(found.appended, 'new item')} with vectors of their columns"
    if found.loss is not None:
        yield from (f"{found.loss.precision}: {line}" for line in found.loss.lines())
