"""`ltrec predict RUN`: the top k of every known user, in raw ids, as one Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ltrec.api.predict import predict as recommend
from ltrec.terminal.screen import open_screen


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    settings: Annotated[list[str] | None, typer.Argument(help="evaluation.key=value words.", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option(help="Parquet file to write; default RUN/predictions/top-k.parquet.")] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Items per user.")] = 10,
    checkpoint: Annotated[str, typer.Option(help="best, last, previous, or stage1: the best before stage 2.")] = "best",
    data: Annotated[Path | None, typer.Option(help="Folder of the data set; default: as in the run's config.")] = None,
    weights: Annotated[str | None, typer.Option(help="average (with trainer.ema, the default) or raw.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout, all else on stderr.")] = False,
) -> None:
    """Recommend items to every known user by the whole stored history: user_id, rank, item_id, score."""
    with open_screen(for_scripts=as_json) as screen:
        found = recommend(run, *(settings or []), out=out, k=k, checkpoint=checkpoint, data=data, weights=weights)
        screen.say(f"{found.rows:,} recommendations of {found.checkpoint.name}: {found.path}")
        screen.print_json(found.to_dict())
