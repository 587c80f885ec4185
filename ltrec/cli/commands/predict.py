"""`ltrec predict RUN`: the top k of every known user, in raw ids, as one Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ltrec.api.predict import predict as recommend
from ltrec.cli.options import AsJson, Checkpoint, Data, Weights
from ltrec.terminal.screen import open_screen


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    settings: Annotated[list[str] | None, typer.Argument(help="evaluation.key=value overrides.", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option(help="Parquet file to write; default RUN/predictions/top-k.parquet.")] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Items per user.")] = 10,
    checkpoint: Checkpoint = "best",
    data: Data = None,
    weights: Weights = None,
    as_json: AsJson = False,
) -> None:
    """Recommend items to every known user by the whole stored history: user_id, rank, item_id, score."""
    with open_screen(for_scripts=as_json) as screen:
        found = recommend(run, *(settings or []), out=out, k=k, checkpoint=checkpoint, data=data, weights=weights)
        screen.say(f"{found.rows:,} recommendations of {found.checkpoint.name}: {found.path}")
        screen.print_json(found.to_dict())
